import {
  hasRightChecksum,
  NO_OFFLOAD,
  PacketLayers,
  readBig16,
  readBig32,
  Segmenter,
  checksum,
  VIRTIO_NET_HDR_GSO_ECN,
  VIRTIO_NET_HDR_GSO_TCPV4,
  VIRTIO_NET_HDR_GSO_TCPV6,
  VIRTIO_NET_HDR_GSO_UDP_L4,
} from '@virtio-platform/device-net';
import { describe, expect, it } from 'vitest';
import { testFrame, type FrameParts } from '../frames.ts';

/** FIN, PSH, ACK and CWR. */
const FLAGS = 0x99;

/** All packets of a frame, with their layers. */
function cut(parts: FrameParts, gsoType: number, gsoSize: number): { bytes: Uint8Array; layers: PacketLayers }[] {
  const { bytes, layers } = testFrame(parts);
  const segmenter = new Segmenter();
  segmenter.start(bytes, bytes.length, { ...NO_OFFLOAD, gsoType, gsoSize }, layers);
  return Array.from({ length: segmenter.count }, (_, index) => {
    const target = new Uint8Array(70_000);
    const packet = target.slice(0, segmenter.write(index, target));
    const own = new PacketLayers();
    own.read(packet, packet.length);
    return { bytes: packet, layers: own };
  });
}

describe.each([
  ['TCP over IPv4', { version: 4, protocol: 'tcp' }, VIRTIO_NET_HDR_GSO_TCPV4],
  ['TCP over IPv6', { version: 6, protocol: 'tcp' }, VIRTIO_NET_HDR_GSO_TCPV6 | VIRTIO_NET_HDR_GSO_ECN],
  ['UDP over IPv4', { version: 4, protocol: 'udp' }, VIRTIO_NET_HDR_GSO_UDP_L4],
  ['UDP over IPv6', { version: 6, protocol: 'udp' }, VIRTIO_NET_HDR_GSO_UDP_L4],
] as const)('a packet of %s that is cut', (_, kind, gsoType) => {
  it.each([
    [1, 1000],
    [1000, 1000],
    [1001, 1000],
    [4321, 500],
    [60_000, 1448],
    [9, 1],
  ])('of %i bytes of data into pieces of %i is sound packets of the wire', (payload, size) => {
    const parts = { ...kind, payload, vlan: 9, flags: FLAGS, id: 0xffff };
    const whole = testFrame(parts);
    const packets = cut(parts, gsoType, size);
    expect(packets).toHaveLength(Math.ceil(payload / size));
    const data = packets.flatMap(({ bytes, layers }) => [...bytes.subarray(layers.payload)]);
    expect(Uint8Array.from(data)).toEqual(whole.bytes.subarray(whole.layers.payload));
    for (const [index, { bytes, layers }] of packets.entries()) {
      expect(hasRightChecksum(bytes, layers, bytes.length)).toBe(true);
      const { network, transport } = layers;
      if (kind.version === 4) {
        expect(checksum(bytes, network, 20)).toBe(0);
        expect(readBig16(bytes, network + 2)).toBe(bytes.length - network);
        expect(readBig16(bytes, network + 4)).toBe((0xffff + index) & 0xffff);
      } else expect(readBig16(bytes, network + 4)).toBe(bytes.length - transport);
      if (kind.protocol === 'udp') {
        expect(readBig16(bytes, transport + 4)).toBe(bytes.length - transport);
        continue;
      }
      // The sequence number wraps.
      expect(readBig32(bytes, transport + 4)).toBe((0xffff_fff0 + index * size) % 2 ** 32);
      const isLast = index === packets.length - 1;
      expect(bytes[transport + 13]).toBe(0x10 | (isLast ? 0x09 : 0) | (index === 0 ? 0x80 : 0));
    }
  });
});
