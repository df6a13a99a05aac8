import { FaultLog, PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { spaceBelowMask } from '../src/masked-address-space.ts';

const END = 2 ** 20;

function masked(bits: number) {
  const memory = new GuestMemory(new SharedArrayBuffer(2 * END));
  const faults = new FaultLog();
  const inner = PHYSICAL_ADDRESS_SPACE.open(memory, faults, undefined);
  return { memory, faults, inner, space: spaceBelowMask(inner, bits) };
}

describe('the address space of a device with few address bits', () => {
  it('is the platform’s own below the mask, and for a device of 64 bits', () => {
    const { space, inner, faults, memory } = masked(20);
    memory.u8.fill(7, END - 8, END);
    const target = new Uint8Array(8);
    expect(space.read(END - 8, 0, target, 0, 8)).toBe(true);
    expect([...target]).toEqual(Array(8).fill(7));
    expect(space.borrow(END - 8, 0, 8, 'write')).toBe(END - 8);
    expect(faults.count).toBe(0);
    expect(spaceBelowMask(inner, 64)).toBe(inner);
  });

  it('refuses what lies beyond, from its first byte on', () => {
    const { space, faults, memory } = masked(20);
    memory.u8.fill(7, END - 8, END + 8);
    const target = new Uint8Array(16).fill(9);
    expect(space.read(END - 4, 0, target, 4, 8)).toBe(false);
    expect([...target]).toEqual([9, 9, 9, 9, 7, 7, 7, 7, 0, 0, 0, 0, 9, 9, 9, 9]);
    expect(space.write(END - 4, 0, new Uint8Array(8).fill(3), 0, 8)).toBe(false);
    expect([...memory.u8.subarray(END - 5, END + 1)]).toEqual([7, 3, 3, 3, 3, 7]);
    expect(space.borrow(END - 4, 0, 8, 'read')).toBe(-1);
    expect(space.write(0, 1, target, 0, 2)).toBe(false);
    expect(space.read(0xffff_fff0, 0xffff_ffff, target, 0, 4)).toBe(false);
    const cause = 'beyond-mask';
    expect(faults.entries).toEqual([
      { address: BigInt(END), length: 4, access: 'read', cause },
      { address: BigInt(END), length: 4, access: 'write', cause },
      { address: BigInt(END), length: 4, access: 'read', cause },
      { address: 2n ** 32n, length: 2, access: 'write', cause },
      { address: 2n ** 64n - 16n, length: 4, access: 'read', cause },
    ]);
  });
});
