import { checksum, completeChecksum, hasRightChecksum, PacketLayers } from '@virtio-platform/device-net';
import { describe, expect, it } from 'vitest';
import { testFrame } from '../frames.ts';

describe('the Internet checksum', () => {
  it('is that of RFC 1071, section 3, and pads an odd byte', () => {
    const bytes = Uint8Array.of(0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7);
    expect(checksum(bytes, 0, 8)).toBe(0x220d);
    expect(checksum(Uint8Array.of(0xab), 0, 1)).toBe(0x54ff);
  });

  it('of a known IPv4 header is what is in it', () => {
    const header = '45000073000040004011b861c0a80001c0a800c7'.match(/../g)!.map((byte) => Number.parseInt(byte, 16));
    const bytes = Uint8Array.from(header);
    expect(checksum(bytes, 0, 20)).toBe(0);
    bytes.fill(0, 10, 12);
    expect(checksum(bytes, 0, 20)).toBe(0xb861);
  });

  it.each([
    [4, 'tcp'],
    [4, 'udp'],
    [6, 'tcp'],
    [6, 'udp'],
  ] as const)('is completed over IPv%i %s, and one wrong byte is seen', (version, protocol) => {
    for (const payload of [0, 1, 2, 333, 1400]) {
      const { bytes, layers } = testFrame({ version, protocol, payload, vlan: 5 });
      completeChecksum(bytes, bytes.length, layers.transport, protocol === 'tcp' ? 16 : 6);
      expect(hasRightChecksum(bytes, layers, bytes.length)).toBe(true);
      bytes[bytes.length - 1]! ^= 4;
      expect(hasRightChecksum(bytes, layers, bytes.length)).toBe(false);
    }
  });

  it('of UDP that is 0 is sent as 0xffff (RFC 768)', () => {
    const bytes = Uint8Array.of(0xff, 0xff, 0, 0);
    completeChecksum(bytes, 4, 0, 2);
    expect([...bytes.subarray(2)]).toEqual([0xff, 0xff]);
  });
});

function read(bytes: readonly number[] | Uint8Array): PacketLayers {
  const layers = new PacketLayers();
  layers.read(Uint8Array.from(bytes), bytes.length);
  return layers;
}

describe('the layers of a frame', () => {
  it('are found behind a tag and IPv4 options', () => {
    expect(read(testFrame({ payload: 9, vlan: 0x123 }).bytes)).toMatchObject({
      vlan: 0x123,
      version: 4,
      protocol: 6,
      network: 18,
      transport: 38,
      payload: 58,
    });
  });

  it.each(Array.from({ length: 64 }, (_, length) => length))(
    'of a frame cut to %i bytes stay inside of it',
    (length) => {
      for (const version of [4, 6] as const) {
        const layers = read(testFrame({ version, payload: 20, vlan: 1 }).bytes.subarray(0, length));
        expect(Math.max(layers.network, layers.transport, layers.payload)).toBeLessThanOrEqual(Math.max(length, 0));
      }
    },
  );

  it.each([
    ['a first fragment', 6, 0x20],
    ['a later fragment', 7, 1],
  ])('of %s are those of IP alone', (_, at, value) => {
    const { bytes } = testFrame({ payload: 20 });
    bytes[14 + at] = value;
    expect(read(bytes)).toMatchObject({ version: 4, protocol: 0, transport: 34 });
  });

  it.each([
    ['a header of 16 bytes', 14, 0x44],
    ['another version', 14, 0x65],
    ['a TCP header of 16 bytes', 46, 0x40],
  ])('of an IPv4 frame with %s have no transport', (_, at, value) => {
    const { bytes } = testFrame({ payload: 20 });
    bytes[at] = value;
    expect(read(bytes).protocol).toBe(0);
  });
});
