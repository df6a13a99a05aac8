import type { ConformCase } from '@virtio-platform/core';
import { hashCommand } from '../control/net-command.ts';
import { VIRTIO_NET_F_CTRL_VQ, VIRTIO_NET_F_HASH_REPORT } from '../net-features.ts';
import { IP_TCP, IP_UDP, PacketLayers } from '../offload/packet-layers.ts';
import {
  FrameHash,
  NET_HASH_KEY_BYTES,
  VIRTIO_NET_HASH_TYPE_IPV4,
  VIRTIO_NET_HASH_TYPE_IPV6,
  VIRTIO_NET_HASH_TYPE_TCPV4,
  VIRTIO_NET_HASH_TYPE_TCPV6,
  VIRTIO_NET_HASH_TYPE_UDPV4,
  VIRTIO_NET_HASH_TYPE_UDPV6,
} from '../receive-side-scaling/frame-hash.ts';
import { netCase, netCases } from './net-case.ts';
import type { FrameOptions } from './net-frame.ts';
import type { NetPort } from './net-port.ts';

const CALCULATION = '5.1.6.4.3';
const REPORTING = '5.1.6.4.5';
const FEATURES = [VIRTIO_NET_F_HASH_REPORT, VIRTIO_NET_F_CTRL_VQ];
const KEY = Uint8Array.from({ length: NET_HASH_KEY_BYTES }, (_, i) => (i * 29 + 0x51) & 0xff);

/** Turns hashes of some types on. */
async function turnOn(port: NetPort, hashTypes: number, key: Uint8Array = KEY): Promise<void> {
  if ((port.config.hashTypes & hashTypes) !== hashTypes) port.bench.skip('the device does not support the hash type');
  await port.order(hashCommand({ hashTypes, key }, true));
}

/** Sends a frame and compares hash and report with those that are right for some types. */
async function hashed(port: NetPort, options: FrameOptions, hashTypes: number, key: Uint8Array = KEY): Promise<number> {
  const frame = port.frame(options);
  await port.send(frame);
  const { header } = await port.expect(frame);
  const right = new FrameHash();
  const layers = new PacketLayers();
  layers.read(frame, frame.length);
  right.of(frame, layers, hashTypes, key);
  port.bench.equal('hash_report', header.hashReport, right.report);
  if (right.report !== 0) port.bench.equal('hash_value', header.hashValue, right.value);
  return right.report;
}

/** The hash of one type, over flows that differ in addresses and ports. */
function typeCase(name: string, type: number, options: FrameOptions): ConformCase {
  return netCase({
    id: `net/hash-${name}`,
    clause: CALCULATION,
    title: `has the Toeplitz hash of ${name} in the header`,
    features: FEATURES,
    run: async (port) => {
      await turnOn(port, type);
      for (let flow = 1; flow <= 4; flow++) {
        const report = await hashed(port, { ...options, flow }, type);
        port.bench.check(report !== 0, 'the case has a frame without a hash');
      }
    },
  });
}

/** Hashes in headers (specification 1.4 sections 5.1.6.4.3 to 5.1.6.4.5). */
export const NET_HASH_CASES: readonly ConformCase[] = [
  typeCase('ipv4', VIRTIO_NET_HASH_TYPE_IPV4, { kind: 'ipv4', protocol: IP_UDP }),
  typeCase('tcp4', VIRTIO_NET_HASH_TYPE_TCPV4, { kind: 'ipv4', protocol: IP_TCP }),
  typeCase('udp4', VIRTIO_NET_HASH_TYPE_UDPV4, { kind: 'ipv4', protocol: IP_UDP }),
  typeCase('ipv6', VIRTIO_NET_HASH_TYPE_IPV6, { kind: 'ipv6', protocol: IP_UDP }),
  typeCase('tcp6', VIRTIO_NET_HASH_TYPE_TCPV6, { kind: 'ipv6', protocol: IP_TCP }),
  typeCase('udp6', VIRTIO_NET_HASH_TYPE_UDPV6, { kind: 'ipv6', protocol: IP_UDP }),
  netCase({
    id: 'net/hash-none-at-first',
    clause: REPORTING,
    title: 'reports no hash before the driver asks for any',
    features: [VIRTIO_NET_F_HASH_REPORT],
    run: async (port) => {
      for (const kind of ['ipv4', 'ipv6', 'local'] as const) await hashed(port, { kind }, 0);
    },
  }),
  ...netCases({ features: FEATURES }, [
    {
      id: 'net/hash-none-of-other-frames',
      clause: REPORTING,
      title: 'reports no hash of frames of other types than those that are on',
      run: async (port) => {
        await turnOn(port, VIRTIO_NET_HASH_TYPE_TCPV4);
        await hashed(port, { kind: 'ipv4', protocol: IP_UDP }, VIRTIO_NET_HASH_TYPE_TCPV4);
        await hashed(port, { kind: 'ipv6', protocol: IP_TCP }, VIRTIO_NET_HASH_TYPE_TCPV4);
        await hashed(port, { kind: 'local' }, VIRTIO_NET_HASH_TYPE_TCPV4);
      },
    },
    {
      id: 'net/hash-of-ports-first',
      clause: CALCULATION,
      title: 'prefers the hash of addresses and ports, and takes that of addresses where there is no other',
      run: async (port) => {
        const both = VIRTIO_NET_HASH_TYPE_IPV4 | VIRTIO_NET_HASH_TYPE_TCPV4;
        await turnOn(port, both);
        await hashed(port, { kind: 'ipv4', protocol: IP_TCP, flow: 5 }, both);
        await hashed(port, { kind: 'ipv4', protocol: IP_UDP, flow: 5 }, both);
      },
    },
    {
      id: 'net/hash-with-another-key',
      clause: CALCULATION,
      title: 'goes by the key that came last, also by a shorter one',
      run: async (port) => {
        await turnOn(port, VIRTIO_NET_HASH_TYPE_UDPV4);
        for (const length of [NET_HASH_KEY_BYTES, 16]) {
          const key = Uint8Array.from({ length }, (_, i) => 0xf1 ^ (i * 3));
          await turnOn(port, VIRTIO_NET_HASH_TYPE_UDPV4, key);
          const whole = new Uint8Array(NET_HASH_KEY_BYTES);
          whole.set(key);
          await hashed(port, { kind: 'ipv4', flow: 7 }, VIRTIO_NET_HASH_TYPE_UDPV4, whole);
        }
      },
    },
    {
      id: 'net/hash-off-again',
      clause: REPORTING,
      title: 'reports no hash once the driver turned all types off',
      run: async (port) => {
        await turnOn(port, VIRTIO_NET_HASH_TYPE_UDPV4);
        await hashed(port, { kind: 'ipv4' }, VIRTIO_NET_HASH_TYPE_UDPV4);
        await turnOn(port, 0);
        await hashed(port, { kind: 'ipv4' }, 0);
      },
    },
    {
      id: 'net/hash-none-after-reset',
      clause: REPORTING,
      title: 'reports no hash after a reset',
      run: async (port) => {
        await turnOn(port, VIRTIO_NET_HASH_TYPE_UDPV4);
        await hashed(await port.again(), { kind: 'ipv4' }, 0);
      },
    },
  ]),
];
