import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { Canary } from '../src/canary.ts';
const AT = 0x1000;
const LENGTH = 64;

function guest(): GuestMemory {
  const memory = new GuestMemory(new SharedArrayBuffer(0x2000));
  memory.u8.fill(7, AT, AT + LENGTH);
  return memory;
}

function bytes(memory: GuestMemory): number[] {
  return [...memory.u8.subarray(AT, AT + LENGTH)];
}

describe('Canary', () => {
  it('is other bytes for each seed, and nothing beside them', () => {
    const planted = [1, 2].map((seed) => {
      const memory = guest();
      void new Canary(memory, AT, LENGTH, seed);
      expect([memory.u8[AT - 1], memory.u8[AT + LENGTH]]).toEqual([0, 0]);
      return bytes(memory);
    });
    expect(planted[0]).not.toEqual(planted[1]);
    expect(new Set(planted[0]).size).toBeGreaterThan(16);
  });

  it.each([8, 33, 64])('stands where none of %i bytes was written, and what was there comes back', (written) => {
    const memory = guest();
    const canary = new Canary(memory, AT, LENGTH, 5);
    expect(canary.collect(AT, written)).toBe(true);
    expect(bytes(memory)).toEqual(Array.from({ length: LENGTH }, () => 7));
  });

  it('does not stand for so few bytes that chance could do it', () => {
    expect(new Canary(guest(), AT, LENGTH, 5).collect(AT, 7)).toBe(false);
  });

  it('leaves what was written, also where that is by chance what was planted', () => {
    for (let written = 1; written <= LENGTH; written++) {
      const memory = guest();
      const canary = new Canary(memory, AT, LENGTH, 5);
      const planted = bytes(memory);
      const last = planted[written - 1]!;
      memory.u8.fill(0xdd, AT, AT + written);
      memory.u8[AT + written - 1] = last;
      expect(canary.collect(AT, written)).toBe(false);
      const expected = Array.from({ length: LENGTH }, (_, i) => (i < written - 1 ? 0xdd : i < written ? last : 7));
      expect([written, bytes(memory)]).toEqual([written, expected]);
    }
  });

  it('never takes a status that was written for what was planted, where the device reports more than it wrote', () => {
    for (let seed = 0; seed < 4096; seed++) {
      const memory = guest();
      const canary = new Canary(memory, AT, LENGTH, seed);
      memory.u8.fill(0xdd, AT, AT + 11);
      memory.u8[AT + 11] = seed & 0x7f;
      expect(canary.collect(AT, LENGTH)).toBe(false);
      expect([seed, memory.u8[AT + 11], memory.u8[AT + 12]]).toEqual([seed, seed & 0x7f, 7]);
    }
  });

  it('comes back behind what was written, where the length that the driver is told is not the device’s', () => {
    const memory = guest();
    const canary = new Canary(memory, AT, LENGTH, 5);
    memory.u8.fill(0xdd, AT, AT + 20);
    expect(canary.collect(AT, LENGTH)).toBe(false);
    expect(bytes(memory)).toEqual(Array.from({ length: LENGTH }, (_, i) => (i < 20 ? 0xdd : 7)));
  });
});
