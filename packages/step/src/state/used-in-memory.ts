import { advance, isUsed, slotOf } from '@virtio-platform/core/queue';
import type { RingView } from './ring-view.ts';
import type { BufferState } from './run-state.ts';

/**
 * The ids that the memory of a ring says are used and that the driver has not taken back. `taken` is how far it took
 * buffers back, `buffers` are those of the queue, the oldest first. For a device whose own calls are out of sight.
 */
export function usedInMemory(
  view: RingView,
  taken: number,
  buffers: readonly BufferState[],
  inOrder: boolean,
): ReadonlySet<number> {
  const named = view.packed === undefined ? splitIds(view, taken) : packedIds(view, taken, buffers);
  if (!inOrder) return named;
  const last = buffers.findLastIndex(({ id }) => named.has(id));
  return new Set(buffers.slice(0, last + 1).map(({ id }) => id));
}

function splitIds({ split, place: { size } }: RingView, taken: number): Set<number> {
  const ids = new Set<number>();
  const arrived = (split!.usedIdx() - taken) & 0xffff;
  // A device that moves its index further has broken a rule, and its entries mean nothing.
  if (arrived > size) return ids;
  for (let i = 0; i < arrived; i++) ids.add(split!.usedId((taken + i) & (size - 1)));
  return ids;
}

function packedIds({ packed, place: { size } }: RingView, taken: number, buffers: readonly BufferState[]): Set<number> {
  const ids = new Set<number>();
  let position = taken;
  for (const _ of buffers) {
    const slot = slotOf(position);
    if (!isUsed(packed!.flags(slot), position)) break;
    const id = packed!.id(slot);
    const buffer = buffers.find((one) => one.id === id);
    if (buffer === undefined || ids.has(id)) break;
    ids.add(id);
    position = advance(position, buffer.slots.length, size);
  }
  return ids;
}
