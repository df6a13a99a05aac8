import { RegisterTransport } from '@virtio-platform/conformance/testing';
import type { ConfigTable } from '@virtio-platform/core';
import { FeatureSet } from '@virtio-platform/core/features';
import { ConfigFields, ConfigSpace } from '@virtio-platform/device-kit';
import { describe, expect, it } from 'vitest';

const TABLE = {
  byte: { offset: 0, width: 1 },
  half: { offset: 2, width: 2 },
  word: { offset: 4, width: 4 },
  long: { offset: 8, width: 8 },
  mac: { offset: 16, width: 6 },
} satisfies ConfigTable;

describe('ConfigSpace', () => {
  it('has as many bytes as its fields, all zero at first', () => {
    expect([...new ConfigSpace(TABLE, 'little').bytes]).toEqual(Array<number>(22).fill(0));
    // The size is that of the last byte, not of the last row.
    expect(new ConfigSpace({ last: TABLE.word, first: TABLE.byte }, 'little').bytes).toHaveLength(8);
    expect(new ConfigSpace({}, 'little').bytes).toHaveLength(0);
  });

  it.each([
    ['little', [0x11, 0, 0x22, 0x11, 0x44, 0x33, 0x22, 0x11, 8, 7, 6, 5, 4, 3, 2, 1]],
    ['big', [0x11, 0, 0x11, 0x22, 0x11, 0x22, 0x33, 0x44, 1, 2, 3, 4, 5, 6, 7, 8]],
  ] as const)(
    'has numbers of each width in %s-endian order, and leaves the bytes between them alone',
    (order, bytes) => {
      const space = new ConfigSpace(TABLE, order);
      space.set(TABLE.byte, 0x11);
      space.set(TABLE.half, 0x1122);
      space.set(TABLE.word, 0x1122_3344);
      space.set(TABLE.long, 0x0102_0304_0506_0708n);
      expect([...space.bytes.subarray(0, 16)]).toEqual(bytes);
      expect([...space.bytes.subarray(16)]).toEqual(Array<number>(6).fill(0));
    },
  );

  it('has the byte order of a field that has one of its own, as the driver half reads it', () => {
    const field = { offset: 0, width: 4, byteOrder: 'little' } as const;
    const space = new ConfigSpace({ field }, 'big');
    space.set(field, 0x1122_3344);
    expect([...space.bytes]).toEqual([0x44, 0x33, 0x22, 0x11]);
    const transport = new RegisterTransport({ offered: FeatureSet.EMPTY, configBytes: 4 });
    transport.config.set(space.bytes);
    const fields = new ConfigFields({ transport, accepted: FeatureSet.EMPTY, byteOrder: 'big' });
    expect(fields.number(field, 0)).toBe(0x1122_3344);
  });

  it.each(['little', 'big'] as const)('is what a driver half reads of it, %s-endian', (byteOrder) => {
    const space = new ConfigSpace(TABLE, byteOrder);
    const accepted = FeatureSet.EMPTY;
    const transport = new RegisterTransport({ offered: accepted, configBytes: space.bytes.length });
    const fields = new ConfigFields({ transport, accepted, byteOrder });
    const limits = { byte: 0xff, half: 0xffff, word: 0xffff_ffff } as const;
    for (const [name, most] of Object.entries(limits)) {
      const field = TABLE[name as keyof typeof limits];
      for (const value of [most, 0, 1, most >>> 1]) {
        space.set(field, value);
        transport.config.set(space.bytes);
        expect(fields.number(field, -1), name).toBe(value);
      }
    }
    for (const value of [2n ** 64n - 1n, 0n, 2 ** 53, 7]) {
      space.set(TABLE.long, value);
      transport.config.set(space.bytes);
      expect(fields.bigint(TABLE.long, -1n)).toBe(BigInt(value));
    }
    space.setBytes(TABLE.mac, Uint8Array.of(1, 2, 3, 4, 5, 6));
    transport.config.set(space.bytes);
    expect([...fields.bytes(TABLE.mac)!]).toEqual([1, 2, 3, 4, 5, 6]);
  });

  it('takes no number for a field of another width', () => {
    const space = new ConfigSpace(TABLE, 'little');
    expect(() => space.set(TABLE.mac, 1)).toThrow(new RangeError('a field of 6 bytes is no number'));
    expect([...space.bytes]).toEqual(Array<number>(22).fill(0));
  });

  it('shows a change at once in its bytes, which a device half has as its configuration', () => {
    const space = new ConfigSpace(TABLE, 'little');
    const { bytes } = space;
    space.set(TABLE.half, 0x0201);
    space.setBytes(TABLE.mac, Uint8Array.of(9, 8));
    expect([bytes[2], bytes[3], ...bytes.subarray(16)]).toEqual([1, 2, 9, 8, 0, 0, 0, 0]);
  });
});
