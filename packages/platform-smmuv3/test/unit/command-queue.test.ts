import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { CommandQueue } from '../../src/unit/command-queue.ts';
import type { SmmuFacility } from '../../src/unit/smmu-facility.ts';
import { MoodySmmu, startGuest } from '../smmu-guest.ts';
import { smmuv3OptionsSchema } from '../../src/index.ts';

/** The driver's end of the queue of a simulated unit, which executes commands and translates nothing. */
function openQueue(mostBits = 3): {
  readonly queue: CommandQueue;
  readonly unit: MoodySmmu;
  readonly memory: GuestMemory;
} {
  const memory = new GuestMemory(new SharedArrayBuffer(2 ** 20));
  const unit = new MoodySmmu({ ...smmuv3OptionsSchema.parse({}).unit, memory });
  const queue = new CommandQueue(memory, unit, mostBits);
  queue.give();
  unit.write32(0x20, 8);
  return { queue, unit, memory };
}

describe('CommandQueue', () => {
  it('gives the unit its address and size, and commands with a CMD_SYNC behind them', () => {
    const { queue, unit, memory } = openQueue();
    const base = unit.read32(0x90);
    expect([base % 32, unit.read32(0x94)]).toEqual([3, 0x4000_0000]);
    queue.append(0x12, 0x1_0000, 0x7fff_f001, 0);
    expect(queue.submit()).toBe(true);
    const words = [0, 8, 16].map((offset) => memory.view.getBigUint64(base - 3 + offset, true));
    expect(words).toEqual([0x1_0000_0000_0012n, 0x7fff_f001n, 0x46n]);
    expect([unit.read32(0x98), unit.read32(0x9c)]).toEqual([2, 2]);
  });

  it('goes around its end again and again', () => {
    const { queue, unit } = openQueue(2);
    for (let i = 0; i < 20; i++) {
      expect([queue.hasRoom(1), queue.hasRoom(3), queue.hasRoom(4)]).toEqual([true, true, false]);
      queue.append(0x10, 0, 0, 0);
      expect(queue.submit()).toBe(true);
    }
    expect(unit.submitted).toBe(21);
  });

  it('repairs where the unit stopped, says that the batch was not done, and goes on', () => {
    const { queue, unit } = openQueue();
    for (let i = 0; i < 10; i++) {
      queue.append(0x10, 0, 0, 0);
      queue.append(0xff, 0, 0, 0);
      queue.append(0xfe, 0, 0, 0);
      expect([queue.hasRoom(0), queue.submit()]).toEqual([true, false]);
      expect(unit.read32(0x60)).toBe(unit.read32(0x64));
      queue.append(0x10, 0, 0, 0);
      expect(queue.submit()).toBe(true);
    }
  });

  it('gives up on a unit that executes nothing, and writes over no command of it', () => {
    const { queue, unit } = openQueue(2);
    unit.isStuck = true;
    queue.append(0x10, 0, 0, 0);
    expect([queue.submit(), queue.hasRoom(1), queue.hasRoom(2)]).toEqual([false, true, false]);
    queue.append(0x10, 0, 0, 0);
    expect([queue.submit(), queue.hasRoom(0)]).toEqual([false, false]);
    unit.isStuck = false;
    unit.write32(0x98, 4);
    expect([queue.hasRoom(3), queue.submit()]).toEqual([true, true]);
  });

  it('ends its wait where the unit repeats an error that cannot be repaired', () => {
    const memory = new GuestMemory(new SharedArrayBuffer(2 ** 20));
    let reads = 0;
    // Whenever the driver acknowledges the error, the unit stops again.
    let errors = 1;
    const broken: SmmuFacility = {
      streamId: 0,
      read32: (offset) => {
        reads++;
        if (offset === 0x9c) return 2 << 24;
        return offset === 0x60 ? errors : errors ^ 1;
      },
      write32: (offset) => void (offset === 0x64 && (errors ^= 1)),
      write64: () => {},
    };
    const queue = new CommandQueue(memory, broken, 4);
    queue.append(0x10, 0, 0, 0);
    expect(queue.submit()).toBe(false);
    expect(reads).toBeLessThan(10_000);
  });
});

describe('an unmapping', () => {
  it('is a TLBI of each page, and of the ASID where they are many', () => {
    const guest = startGuest();
    const { unit, memory, words } = guest;
    const mapping = guest.openMapping();
    const opcodes = (first: number): number[] => {
      const queue = unit.read32(0x90) - 8;
      const found: number[] = [];
      for (let at = first; at !== unit.read32(0x98); at = (at + 1) & 511)
        found.push(memory.u8[queue + 16 * (at & 255)]!);
      return found;
    };
    const few = mapping.map(memory.allocate(3 * 4096), 3 * 4096, 2, words, 0);
    let before = unit.read32(0x98);
    mapping.unmap(few, 0);
    expect(opcodes(before)).toEqual([0x12, 0x12, 0x12, 0x46]);
    const many = mapping.map(memory.allocate(33 * 4096), 33 * 4096, 2, words, 0);
    before = unit.read32(0x98);
    mapping.unmap(many, 0);
    expect(opcodes(before)).toEqual([0x11, 0x46]);
  });
});
