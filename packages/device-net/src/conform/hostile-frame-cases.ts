import type { ConformCase } from '@virtio-platform/core';
import { VIRTIO_RING_F_INDIRECT_DESC } from '@virtio-platform/core/features';
import {
  VIRTIO_NET_HDR_F_NEEDS_CSUM,
  VIRTIO_NET_HDR_GSO_ECN,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_TCPV6,
  VIRTIO_NET_HDR_GSO_UDP_L4,
} from '../layout.ts';
import { NetHeader, NO_OFFLOAD, type Offload } from '../offload/net-header.ts';
import { IP_TCP } from '../offload/packet-layers.ts';
import { VIRTIO_NET_F_CSUM, VIRTIO_NET_F_HOST_TSO4 } from '../net-features.ts';
import { frameShape, largeFrame, offloadOf, type FrameOptions } from './net-frame.ts';
import { hostileCase, hostileCases } from './hostile-case.ts';
import type { NetPort } from './net-port.ts';

const FRAME = '5.1.6';
const OFFLOAD = '5.1.6.2';
const CHECKSUM = { ...NO_OFFLOAD, flags: VIRTIO_NET_HDR_F_NEEDS_CSUM } as const;
const TCP4: FrameOptions = { kind: 'ipv4', protocol: IP_TCP, data: 400 };

/** Sends bytes that are meant to be header and frame, whatever they are. */
function give(port: NetPort, bytes: Uint8Array): void {
  const buffer = port.bench.allocate('what is sent', Math.max(1, bytes.length));
  buffer.write(bytes);
  port.transmitter().give([{ buffer, length: bytes.length }]);
}

/** A request of so many zero bytes, header included. */
function lengthCase(bytes: number | 'header' | 'header-and-1' | 'header-and-13'): ConformCase {
  const length = (port: NetPort): number => {
    if (typeof bytes === 'number') return bytes;
    return port.header + { header: 0, 'header-and-1': 1, 'header-and-13': 13 }[bytes];
  };
  return hostileCase({
    id: `net/hostile-request-of-${bytes}`,
    clause: FRAME,
    title: `survives a request of ${typeof bytes === 'number' ? `${bytes} bytes` : bytes.replaceAll('-', ' ')}`,
    run: (port) => give(port, new Uint8Array(length(port))),
  });
}

/** A frame whose header is wrong. */
function headerCase(
  id: string,
  title: string,
  offload: (port: NetPort, options: FrameOptions) => Partial<Offload>,
  options: FrameOptions = TCP4,
): ConformCase {
  return hostileCase({
    id: `net/hostile-${id}`,
    clause: OFFLOAD,
    title: `survives ${title}`,
    run: (port) => {
      const own = port.own(options);
      port.give(port.frame(own), { ...NO_OFFLOAD, ...offload(port, own) });
    },
  });
}

/** A frame of TCP that is to be cut, and is not what its header says. */
function cutCase(id: string, title: string, change: (frame: Uint8Array, shape: ReturnType<typeof frameShape>) => void) {
  return hostileCase({
    id: `net/hostile-${id}`,
    clause: OFFLOAD,
    title: `survives a packet that is to be cut ${title}`,
    features: [VIRTIO_NET_F_HOST_TSO4],
    run: (port) => {
      const options = port.own(largeFrame(VIRTIO_NET_HDR_GSO_TCPV4, 'ipv4', 3000));
      const frame = port.frame(options);
      change(frame, frameShape(options));
      port.give(frame, offloadOf(options, 1000));
    },
  });
}

/** A packet of so many bytes, all of one readable buffer. */
function longCase(bytes: number): ConformCase {
  return hostileCase({
    id: `net/hostile-frame-of-${bytes}`,
    clause: FRAME,
    title: `survives a frame of ${bytes} bytes`,
    run: (port) => {
      const frame = new Uint8Array(bytes);
      frame.set(port.frame());
      port.give(frame);
    },
  });
}

/** Requests that no driver may send (specification 1.4 section 5.1.6.2). */
export const HOSTILE_FRAME_CASES: readonly ConformCase[] = [
  lengthCase(1),
  lengthCase(9),
  lengthCase(11),
  lengthCase('header'),
  lengthCase('header-and-1'),
  lengthCase('header-and-13'),
  longCase(65_536),
  longCase(65_600),
  longCase(131_072),
  longCase(1_048_576),
  ...hostileCases({ clause: FRAME }, [
    {
      id: 'net/hostile-transmit-writable',
      title: 'survives a transmit buffer that is writable',
      run: (port) => {
        const buffer = port.bench.allocate('a writable transmit buffer', 200, 64);
        port.transmitter().give([{ buffer, isWritable: true }]);
      },
    },
    {
      id: 'net/hostile-transmit-half-writable',
      title: 'survives a readable header with a writable frame',
      run: (port) => {
        const header = port.bench.allocate('a header', port.header);
        header.write(new Uint8Array(port.header));
        const buffer = port.bench.allocate('a writable frame', 200, 64);
        port.transmitter().give([{ buffer: header }, { buffer, isWritable: true }]);
      },
    },
    {
      id: 'net/hostile-frame-of-1000-descriptors',
      title: 'survives a frame in a table of 1000 descriptors',
      start: { with: [VIRTIO_RING_F_INDIRECT_DESC] },
      run: (port) => {
        if (!port.bench.accepted.has(VIRTIO_RING_F_INDIRECT_DESC)) port.bench.skip('the device offers no tables');
        const readable = Array.from({ length: 999 }, () => 1);
        const laid = port.layOut(port.frame({ data: 1400 }), NO_OFFLOAD, { readable });
        port.transmitter().give(laid.segments, { indirect: true });
      },
    },
  ]),
  hostileCase({
    id: 'net/hostile-header-all-ones',
    clause: OFFLOAD,
    title: 'survives a header of which all bits are set',
    run: (port) => {
      const bytes = new Uint8Array(port.header + 200).fill(0xff, 0, port.header);
      give(port, bytes);
    },
  }),
  ...[2, 6, 0x20, 0x60, 0x7f, 0x80].map((gsoType) =>
    headerCase(`gso-type-${gsoType}`, `a gso_type of ${gsoType}`, (_port, options) => ({
      ...offloadOf(options, 100),
      gsoType,
    })),
  ),
  headerCase('gso-not-accepted', 'segments of UDP fragments, which were not accepted', (_port, options) => ({
    ...offloadOf(options, 100),
    gsoType: 3,
  })),
  headerCase('gso-without-checksum', 'a packet to be cut without NEEDS_CSUM', (_port, options) => ({
    ...offloadOf(options, 100),
    gsoType: VIRTIO_NET_HDR_GSO_TCPV4,
    flags: 0,
  })),
  headerCase('gso-size-0', 'segments of 0 bytes', (_port, options) => ({
    ...offloadOf(options, 0),
    gsoType: VIRTIO_NET_HDR_GSO_TCPV4,
  })),
  headerCase(
    'gso-size-1',
    'segments of 1 byte',
    (_port, options) => ({ ...offloadOf(options, 1), gsoType: VIRTIO_NET_HDR_GSO_TCPV4 }),
    { ...TCP4, data: 60_000 },
  ),
  headerCase('gso-size-65535', 'segments of 65535 bytes', (_port, options) => ({
    ...offloadOf(options, 0xffff),
    gsoType: VIRTIO_NET_HDR_GSO_TCPV4,
  })),
  headerCase('gso-of-other-version', 'a packet of IPv4 to be cut as one of IPv6', (_port, options) => ({
    ...offloadOf(options, 100),
    gsoType: VIRTIO_NET_HDR_GSO_TCPV6,
  })),
  headerCase('gso-of-other-protocol', 'a packet of TCP to be cut as one of UDP', (_port, options) => ({
    ...offloadOf(options, 100),
    gsoType: VIRTIO_NET_HDR_GSO_UDP_L4,
  })),
  headerCase(
    'gso-of-no-protocol',
    'a frame that is not of IP, to be cut as TCP',
    () => ({ ...CHECKSUM, gsoType: VIRTIO_NET_HDR_GSO_TCPV4, gsoSize: 50, checksumStart: 34, checksumOffset: 16 }),
    { data: 300 },
  ),
  headerCase(
    'gso-of-datagrams-too-many',
    '600 datagrams of one packet',
    (_port, options) => ({ ...offloadOf(options, 10), gsoType: VIRTIO_NET_HDR_GSO_UDP_L4 }),
    { kind: 'ipv4', data: 6000 },
  ),
  headerCase('ecn-alone', 'ECN without TCP', (_port, options) => ({
    ...offloadOf(options, 100),
    gsoType: VIRTIO_NET_HDR_GSO_UDP_L4 | VIRTIO_NET_HDR_GSO_ECN,
  })),
  headerCase('header-length-past-end', 'a hdr_len behind the end of the frame', (_port, options) => ({
    ...offloadOf(options, 100),
    gsoType: VIRTIO_NET_HDR_GSO_TCPV4,
    headerLength: 60_000,
  })),
  headerCase('header-length-65535', 'a hdr_len of 65535 without a gso_type', () => ({ headerLength: 0xffff })),
  headerCase('checksum-past-end', 'a csum_start behind the end of the frame', () => ({
    ...CHECKSUM,
    checksumStart: 1000,
  })),
  headerCase('checksum-at-end', 'a csum_start at the end of the frame', (port, options) => ({
    ...CHECKSUM,
    checksumStart: port.frame(options).length,
  })),
  headerCase('checksum-half-outside', 'a checksum field of which one byte is behind the frame', (port, options) => ({
    ...CHECKSUM,
    checksumStart: 20,
    checksumOffset: port.frame(options).length - 21,
  })),
  headerCase('checksum-start-65535', 'a csum_start of 65535', () => ({ ...CHECKSUM, checksumStart: 0xffff })),
  headerCase('checksum-overflow', 'a csum_start and a csum_offset that pass 16 bits together', () => ({
    ...CHECKSUM,
    checksumStart: 0xfff0,
    checksumOffset: 0x20,
  })),
  headerCase('checksum-in-address', 'a checksum that goes into the Ethernet address', () => ({
    ...CHECKSUM,
    checksumStart: 0,
    checksumOffset: 0,
  })),
  hostileCase({
    id: 'net/hostile-checksum-not-accepted',
    clause: OFFLOAD,
    title: 'survives a partial checksum without CSUM',
    start: { without: [VIRTIO_NET_F_CSUM] },
    run: (port) => {
      const own = port.own(TCP4);
      port.give(port.frame(own), offloadOf(own));
    },
  }),
  hostileCase({
    id: 'net/hostile-num-buffers',
    clause: OFFLOAD,
    title: 'survives a num_buffers in a frame that is sent',
    run: (port) => {
      const laid = port.layOut(port.frame());
      const header = new NetHeader();
      header.buffers = 0xffff;
      const bytes = new Uint8Array(port.header);
      header.write(new DataView(bytes.buffer), port.header, true);
      laid.segments[0]!.buffer.write(bytes);
      port.transmitter().give(laid.segments);
    },
  }),
  cutCase('ip-header-of-0', 'whose IP header has a length of 0', (frame, { network }) => (frame[network] = 0x40)),
  cutCase('ip-header-of-60', 'whose IP header says 60 bytes', (frame, { network }) => (frame[network] = 0x4f)),
  cutCase('ip-length-0', 'whose IP length is 0', (frame, { network }) => frame.fill(0, network + 2, network + 4)),
  cutCase('ip-length-65535', 'whose IP length is 65535', (frame, { network }) =>
    frame.fill(0xff, network + 2, network + 4),
  ),
  cutCase('ip-fragment', 'that is a fragment', (frame, { network }) => (frame[network + 6] = 0x20)),
  cutCase(
    'tcp-header-of-0',
    'whose TCP header has a length of 0',
    (frame, { transport }) => (frame[transport + 12] = 0),
  ),
  cutCase('tcp-header-of-60', 'whose TCP header says 60 bytes', (frame, { transport }) => {
    frame[transport + 12] = 0xf0;
  }),
  cutCase('ip-version-0', 'whose IP version is 0', (frame, { network }) => (frame[network] = 0x05)),
  hostileCase({
    id: 'net/hostile-cut-in-headers',
    clause: OFFLOAD,
    title: 'survives a packet that is to be cut and ends in its TCP header',
    features: [VIRTIO_NET_F_HOST_TSO4],
    run: (port) => {
      const options = port.own(largeFrame(VIRTIO_NET_HDR_GSO_TCPV4, 'ipv4', 100));
      const { transport } = frameShape(options);
      port.give(port.frame(options).subarray(0, transport + 10), offloadOf(options, 100));
    },
  }),
  hostileCase({
    id: 'net/hostile-tag-without-frame',
    clause: FRAME,
    title: 'survives a frame that ends in its VLAN tag',
    run: (port) => {
      port.give(port.frame({ vlan: 5 }).subarray(0, 16));
    },
  }),
];
