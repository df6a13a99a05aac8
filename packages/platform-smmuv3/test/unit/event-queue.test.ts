import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { EventQueue } from '../../src/unit/event-queue.ts';
import { describeEvent } from '../../src/unit/smmu-fault.ts';

const LOST = 2 ** 31;

/** A unit that is a few registers, whose positions a test sets. */
function openQueue(mostBits: number): {
  readonly queue: EventQueue;
  readonly registers: Map<number, number>;
  readonly put: (index: number, ...words: readonly bigint[]) => void;
} {
  const memory = new GuestMemory(new SharedArrayBuffer(2 ** 20));
  const registers = new Map<number, number>();
  const queue = new EventQueue(
    memory,
    {
      streamId: 0x20,
      read32: (offset) => registers.get(offset) ?? 0,
      write32: (offset, value) => void registers.set(offset, value),
      write64: (offset, low) => void registers.set(offset, low),
    },
    mostBits,
  );
  queue.give();
  const put = (index: number, ...words: readonly bigint[]): void => {
    const base = registers.get(0xa0)! - Math.min(mostBits, 7) + 32 * index;
    words.forEach((word, i) => memory.view.setBigUint64(base + 8 * i, word, true));
  };
  return { queue, registers, put };
}

describe('EventQueue', () => {
  it('reads events, and gives their places back', () => {
    const { queue, registers, put } = openQueue(19);
    expect([registers.get(0xa0)! % 32, queue.take()]).toEqual([7, []]);
    put(0, 0x20_0000_0010n, 1n << 35n, 0x1_8000_0005n);
    put(1, 0x21_0000_0013n, 0n, 0x9000n);
    registers.set(0x1_00a8, 2);
    expect(queue.take()).toEqual([
      { type: 0x10, streamId: 0x20, access: 'read', address: 0x1_8000_0005n },
      { type: 0x13, streamId: 0x21, access: 'write', address: 0x9000n },
    ]);
    expect([registers.get(0x1_00ac), queue.take(), queue.lost]).toEqual([2, [], 0]);
  });

  it('reads events around its end, a full queue too', () => {
    const { queue, registers, put } = openQueue(1);
    put(0, 0x10n, 0n, 0n);
    put(1, 0x10n, 0n, 1n);
    registers.set(0x1_00a8, 2);
    expect(queue.take().map(({ address }) => address)).toEqual([0n, 1n]);
    // The bit of the lap goes back to 0.
    put(1, 0x10n, 0n, 3n);
    registers.set(0x1_00a8, 0);
    expect([queue.take().map(({ address }) => address), registers.get(0x1_00ac)]).toEqual([[0n, 3n], 0]);
  });

  it('counts and acknowledges that events were lost', () => {
    const { queue, registers } = openQueue(1);
    registers.set(0x1_00a8, LOST + 2);
    expect([queue.take().length, registers.get(0x1_00ac), queue.lost]).toEqual([2, LOST + 2, 1]);
    expect([queue.take().length, queue.lost]).toEqual([0, 1]);
    registers.set(0x1_00a8, 0);
    expect([queue.take().length, registers.get(0x1_00ac), queue.lost]).toEqual([2, 0, 2]);
  });

  it('believes no position that is further than the queue is long', () => {
    const { queue, registers } = openQueue(1);
    registers.set(0x1_00a8, 3);
    expect(queue.take()).toEqual([]);
    registers.set(0x1_00a8, 0x7fff_ffff);
    expect(queue.take()).toEqual([]);
  });
});

describe('describeEvent', () => {
  it.each([
    [0x10, 'read', 'unmapped', /no valid entry/],
    [0x13, 'read', 'read-not-permitted', /does not permit/],
    [0x13, 'write', 'write-not-permitted', /does not permit/],
    [0x02, 'write', 'unmapped', /no entry for the StreamID/],
    [0x04, 'write', 'iommu-error', /stream table entry is invalid/],
    [0x0a, 'read', 'iommu-error', /context descriptor is invalid/],
    [0x20, 'read', 'iommu-error', /unknown event 0x20/],
  ] as const)('says of 0x%i for a %s: %s', (type, access, cause, detail) => {
    const fault = describeEvent({ type, streamId: 0x20, access, address: 0x1234n });
    expect(fault).toMatchObject({ type, access, cause, address: 0x1234n, length: 1 });
    expect(fault.detail).toMatch(detail);
  });
});
