import { caseGroup, type ConformCase } from '@virtio-platform/core';
import { guestOffloadsCommand } from '../control/net-command.ts';
import * as wire from '../layout.ts';
import { FrameCheck } from '../mixed/frame-check.ts';
import * as feature from '../net-features.ts';
import { IP_TCP, IP_UDP, readBig16 } from '../offload/packet-layers.ts';
import { NO_OFFLOAD, type Offload } from '../offload/net-header.ts';
import { checksum } from '../offload/checksum.ts';
import { FRAME_SEED, frameOf, largeFrame, offloadOf, testFrame, type FrameOptions } from './net-frame.ts';
import { netCase, type NetTemplate } from './net-case.ts';
import type { NetPort } from './net-port.ts';

const TRANSMISSION = '5.1.6.2';
const HINT = '5.1.6.2.2';
const NORMATIVE = '5.1.6.4.1';
const OFFLOADS = '5.1.6.5.9';
/** Bytes of the receive buffer of a large packet without MRG_RXBUF, and of the largest frame of a case. */
const LARGE_BYTES = 20_000;
/** Data of a large frame, and of each of its segments. */
const LARGE_DATA = 5000;
const SEGMENT = 1200;
/** Packets that a frame may become. */
const MOST_PACKETS = 64;

const GUEST = [
  feature.VIRTIO_NET_F_GUEST_TSO4,
  feature.VIRTIO_NET_F_GUEST_TSO6,
  feature.VIRTIO_NET_F_GUEST_ECN,
  feature.VIRTIO_NET_F_GUEST_USO4,
  feature.VIRTIO_NET_F_GUEST_USO6,
];

/** Sends a frame that is left unfinished, and checks what comes back, as one packet or as those of the wire. */
async function offloads(port: NetPort, options: FrameOptions, offload: Offload): Promise<number> {
  const frame = { ...testFrame(options), offload };
  const check = new FrameCheck(FRAME_SEED, LARGE_BYTES);
  await port.send(frameOf(options, true), offload);
  let packets = 0;
  for (let arrived = 0; arrived < frame.data; packets++) {
    if (packets >= MOST_PACKETS)
      port.bench.fail(`${packets} packets came back, with ${arrived} of ${frame.data} bytes`);
    const packet = await port.receive();
    checkHeader(port, packet.header);
    const { fault, data } = check.check(frame, packet.frame, packet.frame.length, packet.header, arrived);
    if (fault !== undefined) port.bench.fail(`the packet ${fault.detail}`);
    arrived += data;
  }
  return packets;
}

/** What has to be so of the header of any packet that was received. */
function checkHeader({ bench }: NetPort, header: Offload): void {
  const { accepted } = bench;
  const { flags, gsoType, gsoSize, headerLength } = header;
  if (!accepted.has(feature.VIRTIO_NET_F_GUEST_CSUM)) bench.equal('flags without GUEST_CSUM', flags, 0);
  if (gsoType === wire.VIRTIO_NET_HDR_GSO_NONE) return;
  const type = gsoType & ~wire.VIRTIO_NET_HDR_GSO_ECN;
  const isAccepted =
    (type === wire.VIRTIO_NET_HDR_GSO_TCPV4 && accepted.has(feature.VIRTIO_NET_F_GUEST_TSO4)) ||
    (type === wire.VIRTIO_NET_HDR_GSO_TCPV6 && accepted.has(feature.VIRTIO_NET_F_GUEST_TSO6)) ||
    (type === wire.VIRTIO_NET_HDR_GSO_UDP_L4 &&
      (accepted.has(feature.VIRTIO_NET_F_GUEST_USO4) || accepted.has(feature.VIRTIO_NET_F_GUEST_USO6)));
  bench.check(isAccepted, `gso_type is ${gsoType}, which was not accepted`);
  bench.check((flags & wire.VIRTIO_NET_HDR_F_NEEDS_CSUM) !== 0, `gso_type is ${gsoType}, without NEEDS_CSUM`);
  bench.check(gsoSize > 0, `gso_type is ${gsoType}, with a gso_size of 0`);
  bench.check(headerLength >= 42, `hdr_len is ${headerLength}, which is less than the headers have`);
}

type OffloadTemplate = Pick<NetTemplate, 'id' | 'title' | 'features' | 'run'> & Partial<NetTemplate>;

function offloadCase({ start, ...template }: OffloadTemplate): ConformCase {
  return netCase({
    clause: TRANSMISSION,
    start: { size: 64, buffers: 32, ...start },
    ...template,
  });
}
const offloadCases = caseGroup(offloadCase);

/** Partial checksums of one protocol, completed by the device or left to the driver. */
function checksumCases(name: string, kind: 'ipv4' | 'ipv6', protocol: number): readonly ConformCase[] {
  const options = { kind, protocol, data: 333 } as const;
  return [
    offloadCase({
      id: `net/checksum-${name}`,
      title: `puts in the checksum of ${name} where the driver takes no partial ones`,
      features: [feature.VIRTIO_NET_F_CSUM],
      level: 'SHOULD',
      start: { without: [feature.VIRTIO_NET_F_GUEST_CSUM] },
      run: async (port) => {
        for (let number = 1; number <= 3; number++) {
          const own = port.own({ ...options, number, data: options.data + number });
          await port.send(frameOf(own, true), offloadOf(own));
          const { header, frame } = await port.receive();
          port.bench.equal('flags', header.flags, 0);
          port.sameBytes(frame, frameOf(own));
        }
      },
    }),
    offloadCase({
      id: `net/checksum-${name}-passed-on`,
      clause: NORMATIVE,
      title: `says where the checksum of ${name} goes, where it leaves that to the driver`,
      features: [feature.VIRTIO_NET_F_CSUM, feature.VIRTIO_NET_F_GUEST_CSUM],
      run: async (port) => {
        for (let number = 1; number <= 3; number++) {
          const own = port.own({ ...options, number, data: options.data + number });
          await port.send(frameOf(own, true), offloadOf(own));
          await port.expect(frameOf(own));
        }
      },
    }),
  ];
}

/** Gives receive buffers for large frames. */
function largeBuffers(port: NetPort): void {
  for (let i = 0; i < (port.isMerged ? 40 : 8); i++) port.supply([port.isMerged ? 1536 : LARGE_BYTES]);
}

/** Large frames of one kind: passed on whole, and cut where the driver takes none. */
function largeCases(
  name: string,
  gsoType: number,
  kind: 'ipv4' | 'ipv6',
  host: readonly number[],
  guest: readonly number[],
): readonly ConformCase[] {
  const send = (port: NetPort, data: number, number = 1): Promise<number> => {
    const options = { ...port.own(largeFrame(gsoType, kind, data)), number };
    return offloads(port, options, offloadOf(options, SEGMENT));
  };
  const room = { size: 128, buffers: 0 };
  return [
    offloadCase({
      id: `net/${name}-passed-on`,
      clause: NORMATIVE,
      title: `passes on packets of ${name}, with all that the driver has to know, or as packets of the wire`,
      features: [...host, ...guest],
      start: room,
      run: async (port) => {
        largeBuffers(port);
        for (let number = 1; number <= 3; number++) await send(port, LARGE_DATA + number, number);
      },
    }),
    offloadCase({
      id: `net/${name}-cut`,
      title: `cuts packets of ${name} where the driver takes none`,
      features: host,
      start: { ...room, without: GUEST },
      run: async (port) => {
        largeBuffers(port);
        const packets = await send(port, LARGE_DATA);
        port.bench.equal('the number of packets', packets, Math.ceil(LARGE_DATA / SEGMENT));
      },
    }),
    offloadCase({
      id: `net/${name}-of-one-segment`,
      title: `sends a packet of ${name} that is no longer than one segment`,
      features: host,
      start: { ...room, without: GUEST },
      run: async (port) => {
        largeBuffers(port);
        port.bench.equal('the number of packets', await send(port, SEGMENT), 1);
        port.bench.equal('the number of packets', await send(port, 100, 2), 1);
      },
    }),
    offloadCase({
      id: `net/${name}-header-length`,
      clause: HINT,
      title: `does not rely on hdr_len of packets of ${name}`,
      features: host,
      start: { ...room, without: GUEST },
      run: async (port) => {
        largeBuffers(port);
        for (const headerLength of [0, 14, 400]) {
          const options = port.own(largeFrame(gsoType, kind, LARGE_DATA));
          await offloads(port, options, { ...offloadOf(options, SEGMENT), headerLength });
        }
      },
    }),
  ];
}

/** What is left to the device, and to the driver (specification 1.4 sections 5.1.6.2 and 5.1.6.4). */
export const NET_OFFLOAD_CASES: readonly ConformCase[] = [
  ...checksumCases('udp4', 'ipv4', IP_UDP),
  ...checksumCases('tcp4', 'ipv4', IP_TCP),
  ...checksumCases('udp6', 'ipv6', IP_UDP),
  ...checksumCases('tcp6', 'ipv6', IP_TCP),
  ...offloadCases({ features: [feature.VIRTIO_NET_F_CSUM], start: { without: [feature.VIRTIO_NET_F_GUEST_CSUM] } }, [
    {
      id: 'net/checksum-anywhere',
      title: 'puts a checksum at any place of a frame, whatever the frame is',
      run: async (port) => {
        for (const [checksumStart, checksumOffset] of [
          [14, 4],
          [30, 0],
          [61, 7],
        ] as const) {
          const frame = port.frame({ data: 100 });
          frame[checksumStart + checksumOffset] = frame[checksumStart + checksumOffset + 1] = 0;
          const flags = wire.VIRTIO_NET_HDR_F_NEEDS_CSUM;
          await port.send(frame, { ...NO_OFFLOAD, flags, checksumStart, checksumOffset });
          const { frame: seen } = await port.receive();
          const right = checksum(frame, checksumStart, frame.length - checksumStart);
          port.bench.equal('the checksum', readBig16(seen, checksumStart + checksumOffset), right);
        }
      },
    },
    {
      id: 'net/checksum-of-last-bytes',
      title: 'puts a checksum into the last two bytes of a frame',
      run: async (port) => {
        const frame = port.frame({ data: 50 });
        const checksumStart = frame.length - 10;
        frame.fill(0, frame.length - 2);
        await port.send(frame, {
          ...NO_OFFLOAD,
          flags: wire.VIRTIO_NET_HDR_F_NEEDS_CSUM,
          checksumStart,
          checksumOffset: 8,
        });
        const { frame: seen } = await port.receive();
        port.bench.equal('the checksum', readBig16(seen, frame.length - 2), checksum(frame, checksumStart, 10));
      },
    },
  ]),
  ...largeCases(
    'tso4',
    wire.VIRTIO_NET_HDR_GSO_TCPV4,
    'ipv4',
    [feature.VIRTIO_NET_F_HOST_TSO4],
    [feature.VIRTIO_NET_F_GUEST_TSO4],
  ),
  ...largeCases(
    'tso6',
    wire.VIRTIO_NET_HDR_GSO_TCPV6,
    'ipv6',
    [feature.VIRTIO_NET_F_HOST_TSO6],
    [feature.VIRTIO_NET_F_GUEST_TSO6],
  ),
  ...largeCases(
    'tso4-ecn',
    wire.VIRTIO_NET_HDR_GSO_TCPV4 | wire.VIRTIO_NET_HDR_GSO_ECN,
    'ipv4',
    [feature.VIRTIO_NET_F_HOST_TSO4, feature.VIRTIO_NET_F_HOST_ECN],
    [feature.VIRTIO_NET_F_GUEST_TSO4, feature.VIRTIO_NET_F_GUEST_ECN],
  ),
  ...largeCases(
    'uso4',
    wire.VIRTIO_NET_HDR_GSO_UDP_L4,
    'ipv4',
    [feature.VIRTIO_NET_F_HOST_USO],
    [feature.VIRTIO_NET_F_GUEST_USO4],
  ),
  ...largeCases(
    'uso6',
    wire.VIRTIO_NET_HDR_GSO_UDP_L4,
    'ipv6',
    [feature.VIRTIO_NET_F_HOST_USO],
    [feature.VIRTIO_NET_F_GUEST_USO6],
  ),
  offloadCase({
    id: 'net/large-into-one-buffer',
    clause: NORMATIVE,
    title: 'passes on a large packet in one buffer without MRG_RXBUF',
    features: [feature.VIRTIO_NET_F_HOST_TSO4, feature.VIRTIO_NET_F_GUEST_TSO4],
    start: { buffers: 0, without: [feature.VIRTIO_NET_F_MRG_RXBUF] },
    run: async (port) => {
      for (let i = 0; i < 4; i++) port.supply([LARGE_BYTES]);
      const options = port.own(largeFrame(wire.VIRTIO_NET_HDR_GSO_TCPV4, 'ipv4', 15_000));
      await offloads(port, options, offloadOf(options, 1400));
    },
  }),
  ...offloadCases({ clause: OFFLOADS }, [
    {
      id: 'net/offloads-turned-off',
      title: 'leaves nothing to the driver once the driver turned all offloads off',
      features: [feature.VIRTIO_NET_F_CSUM, feature.VIRTIO_NET_F_GUEST_CSUM, feature.VIRTIO_NET_F_CTRL_GUEST_OFFLOADS],
      run: async (port) => {
        await port.order(guestOffloadsCommand(0n, true));
        const own = port.own({ kind: 'ipv4', protocol: IP_UDP, data: 200 });
        await port.send(frameOf(own, true), offloadOf(own));
        const { header, frame } = await port.receive();
        port.bench.equal('flags', header.flags & wire.VIRTIO_NET_HDR_F_NEEDS_CSUM, 0);
        port.sameBytes(frame, frameOf(own));
      },
    },
    {
      id: 'net/offloads-in-part',
      title: 'cuts packets once the driver takes no large ones, and leaves checksums to it all the same',
      features: [
        feature.VIRTIO_NET_F_HOST_TSO4,
        feature.VIRTIO_NET_F_GUEST_TSO4,
        feature.VIRTIO_NET_F_CTRL_GUEST_OFFLOADS,
      ],
      run: async (port) => {
        await port.order(guestOffloadsCommand(1n << BigInt(feature.VIRTIO_NET_F_GUEST_CSUM), true));
        const options = port.own(largeFrame(wire.VIRTIO_NET_HDR_GSO_TCPV4, 'ipv4', LARGE_DATA));
        const packets = await offloads(port, options, offloadOf(options, SEGMENT));
        port.bench.equal('the number of packets', packets, Math.ceil(LARGE_DATA / SEGMENT));
      },
    },
    {
      id: 'net/offloads-turned-on-again',
      title: 'does every offload that was accepted again, once the driver turns it on',
      features: [feature.VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, feature.VIRTIO_NET_F_GUEST_CSUM],
      isLooped: false,
      run: async (port) => {
        const all = [feature.VIRTIO_NET_F_GUEST_CSUM, ...GUEST].filter((bit) => port.bench.accepted.has(bit));
        await port.order(guestOffloadsCommand(0n, true));
        await port.order(
          guestOffloadsCommand(
            all.reduce((mask, bit) => mask | (1n << BigInt(bit)), 0n),
            true,
          ),
        );
        await port.send(port.frame());
      },
    },
  ]),
];
