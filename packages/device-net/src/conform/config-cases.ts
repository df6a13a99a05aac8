import type { ConformBench, ConformCase } from '@virtio-platform/core';
import { NET_CONFIG, type NetField } from '../net-config.ts';
import * as feature from '../net-features.ts';
import { ETHERNET_HEADER, MAC_BYTES, VIRTIO_NET_S_ANNOUNCE, VIRTIO_NET_S_LINK_UP } from '../layout.ts';
import { netCase, netCases, offersNet } from './net-case.ts';
import { NetPort } from './net-port.ts';

const LAYOUT = '5.1.4';
const NORMATIVE = '5.1.4.1';
const MOST_SPEED = 0x7fff_ffff;
const UNKNOWN_SPEED = 0xffff_ffff;
/** The hash types of the specification: those of IPv6 extension headers are bits 6 to 8. */
const HASH_TYPES = 0x1ff;

function value({ transport }: ConformBench, field: NetField): number {
  const { offset, width } = NET_CONFIG[field];
  const bytes = new Uint8Array(width);
  transport.readConfig(offset, bytes);
  return bytes.reduceRight((sum, byte) => sum * 256 + byte, 0);
}

/** A field whose value is right or wrong by itself. */
function fieldCase(
  id: string,
  bit: number,
  field: NetField,
  title: string,
  isRight: (value: number) => boolean,
  level: ConformCase['level'] = 'MUST',
): ConformCase {
  return {
    id: `net/${id}`,
    clause: NORMATIVE,
    level,
    title,
    needs: [offersNet(bit)],
    run: async (bench) => {
      await bench.start();
      const seen = value(bench, field);
      bench.check(isRight(seen), `${field} is ${seen}`);
    },
  };
}

/** A feature that is of no use without the control queue. */
function needsControl(id: string, bit: number, name: string): ConformCase {
  return {
    id: `net/${id}`,
    clause: NORMATIVE,
    level: 'SHOULD',
    title: `offers ${name} only together with CTRL_VQ`,
    needs: [({ offered }) => (offered.has(bit) ? undefined : `the device does not offer ${name}`)],
    run: (bench) =>
      bench.check(
        bench.transport.readDeviceFeatures().has(feature.VIRTIO_NET_F_CTRL_VQ),
        `${name} is offered without CTRL_VQ`,
      ),
  };
}

/** The configuration space of a network device (specification 1.4 section 5.1.4). */
export const NET_CONFIG_CASES: readonly ConformCase[] = [
  fieldCase(
    'max-pairs',
    feature.VIRTIO_NET_F_MQ,
    'max_virtqueue_pairs',
    'says 1 to 0x8000 pairs of queues',
    (pairs) => pairs >= 1 && pairs <= 0x8000,
  ),
  {
    id: 'net/queues-of-pairs',
    clause: LAYOUT,
    level: 'MUST',
    title: 'has the queues of all pairs that it says, and the control queue behind them',
    needs: [offersNet(feature.VIRTIO_NET_F_MQ)],
    run: async (bench) => {
      await bench.start();
      const queues =
        2 * value(bench, 'max_virtqueue_pairs') + (bench.accepted.has(feature.VIRTIO_NET_F_CTRL_VQ) ? 1 : 0);
      bench.check(bench.device.queueCount >= queues, `it has ${bench.device.queueCount} queues, and needs ${queues}`);
      for (let queue = 0; queue < queues; queue++)
        bench.check(bench.transport.maxQueueSize(queue) > 0, `queue ${queue} has a size of 0`);
    },
  },
  fieldCase('mtu-range', feature.VIRTIO_NET_F_MTU, 'mtu', 'says an MTU of 68 or more', (mtu) => mtu >= 68),
  fieldCase(
    'mtu-of-ipv6',
    feature.VIRTIO_NET_F_MTU,
    'mtu',
    'says an MTU of 1280 or more',
    (mtu) => mtu >= 1280,
    'SHOULD',
  ),
  ...netCases({ clause: NORMATIVE, features: [feature.VIRTIO_NET_F_MTU] }, [
    {
      id: 'net/mtu-stays',
      title: 'keeps its MTU while frames are sent, and over a reset',
      isLooped: false,
      run: async (port) => {
        const { bench } = port;
        const before = value(bench, 'mtu');
        for (let n = 0; n < 4; n++) await port.send(port.frame());
        bench.equal('mtu', value(bench, 'mtu'), before);
        await bench.start();
        bench.equal('mtu after a reset', value(bench, 'mtu'), before);
      },
    },
    {
      id: 'net/mtu-forwarded',
      title: 'forwards frames of exactly its MTU, whole',
      run: async (port) => {
        const mtu = value(port.bench, 'mtu');
        const frame = port.frame({ data: mtu });
        port.bench.equal('the length of the frame', frame.length, mtu + ETHERNET_HEADER);
        port.supply([port.header + frame.length]);
        for (let i = 0; i < 3; i++) await port.exchange(frame);
      },
    },
  ]),
  fieldCase(
    'speed-range',
    feature.VIRTIO_NET_F_SPEED_DUPLEX,
    'speed',
    'says a speed of at most 0x7fffffff, or an unknown one',
    (speed) => speed <= MOST_SPEED || speed === UNKNOWN_SPEED,
  ),
  fieldCase('duplex-values', feature.VIRTIO_NET_F_SPEED_DUPLEX, 'duplex', 'says a duplex of 0, 1 or 0xff', (duplex) =>
    [0, 1, 0xff].includes(duplex),
  ),
  netCase({
    id: 'net/speed-stays',
    clause: NORMATIVE,
    level: 'SHOULD',
    title: 'keeps speed and duplex while the link is up',
    features: [feature.VIRTIO_NET_F_SPEED_DUPLEX, feature.VIRTIO_NET_F_STATUS],
    isLooped: false,
    run: async (port) => {
      const { bench } = port;
      const before = [value(bench, 'speed'), value(bench, 'duplex')];
      for (let n = 0; n < 4; n++) await port.send(port.frame());
      if ((value(bench, 'status') & VIRTIO_NET_S_LINK_UP) === 0) bench.skip('the link went down');
      bench.equal('speed and duplex', [value(bench, 'speed'), value(bench, 'duplex')].join(), before.join());
    },
  }),
  fieldCase(
    'hash-key-size',
    feature.VIRTIO_NET_F_RSS,
    'rss_max_key_size',
    'takes hash keys of 40 bytes at least',
    (size) => size >= 40,
  ),
  fieldCase(
    'table-length',
    feature.VIRTIO_NET_F_RSS,
    'rss_max_indirection_table_length',
    'takes indirection tables of 128 entries at least',
    (length) => length >= 128,
  ),
  fieldCase(
    'hash-types-known',
    feature.VIRTIO_NET_F_RSS,
    'supported_hash_types',
    'supports only hash types that there are',
    (types) => types > 0 && types <= HASH_TYPES,
  ),
  needsControl('hash-report-needs-control', feature.VIRTIO_NET_F_HASH_REPORT, 'NET_HASH_REPORT'),
  needsControl('rx-extra-needs-control', feature.VIRTIO_NET_F_CTRL_RX_EXTRA, 'NET_CTRL_RX_EXTRA'),
  {
    id: 'net/mac-of-one-host',
    clause: LAYOUT,
    level: 'MUST',
    title: 'has an address of one host in mac',
    needs: [offersNet(feature.VIRTIO_NET_F_MAC)],
    run: async (bench) => {
      await bench.start();
      const mac = new Uint8Array(MAC_BYTES);
      bench.transport.readConfig(0, mac);
      bench.check((mac[0]! & 1) === 0 && mac.some((byte) => byte !== 0), `mac is ${Buffer.from(mac).toString('hex')}`);
    },
  },
  {
    id: 'net/status-known',
    clause: LAYOUT,
    level: 'MUST',
    title: 'has a status of LINK_UP and ANNOUNCE only, and asks for no announcement at its start',
    needs: [offersNet(feature.VIRTIO_NET_F_STATUS)],
    run: async (bench) => {
      await bench.start();
      const status = value(bench, 'status');
      bench.check((status & ~(VIRTIO_NET_S_LINK_UP | VIRTIO_NET_S_ANNOUNCE)) === 0, `status is ${status}`);
    },
  },
  {
    id: 'net/config-with-each-feature',
    clause: LAYOUT,
    level: 'MUST',
    title: 'has the same mac, whichever other features are accepted',
    needs: [offersNet(feature.VIRTIO_NET_F_MAC)],
    run: async (bench) => {
      const seen: string[] = [];
      for (const without of [
        [],
        [feature.VIRTIO_NET_F_STATUS],
        [feature.VIRTIO_NET_F_CTRL_VQ],
        [feature.VIRTIO_NET_F_MQ, feature.VIRTIO_NET_F_MTU],
      ])
        seen.push((await NetPort.start(bench, { without, buffers: 0 })).config.mac ?? 'none');
      bench.equal('mac', new Set(seen).size, 1);
    },
  },
];
