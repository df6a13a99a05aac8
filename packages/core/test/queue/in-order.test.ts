import {
  FIRST_POSITION,
  InFlightOrder,
  PackedRing,
  SplitRing,
  usedFlags,
  VIRTQ_DESC_F_WRITE,
  type QueueLayout,
} from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import { RingEnds } from './ring-ends.ts';

const SIZE = 8;
const WRITABLE = 16;

/** Both ends with IN_ORDER, and the ids of `count` buffers of 16 writable bytes that the device has popped. */
function popped(layout: QueueLayout, count: number): RingEnds & { readonly ids: readonly number[] } {
  const ends = new RingEnds({ layout, inOrder: true });
  return Object.assign(ends, { ids: ends.give(count) });
}

function splitRing({ memory, queue }: RingEnds): SplitRing {
  const { words } = queue.addresses;
  return new SplitRing(memory, words[2]!, words[4]!, SIZE);
}

function packedRing({ memory, queue }: RingEnds): PackedRing {
  const { words } = queue.addresses;
  return new PackedRing(memory, words[0]!, words[2]!, words[4]!);
}

describe.each(['split', 'packed'] as const)('IN_ORDER on a %s ring', (layout) => {
  it('S-26 P-16 D42 counts skipped buffers as completely used', () => {
    const ends = popped(layout, 3);
    for (const [i, id] of ends.ids.entries()) ends.device.push(id, i === 2 ? 5 : WRITABLE);
    ends.device.flush();
    expect(ends.take()).toEqual([
      [ends.ids[0], WRITABLE],
      [ends.ids[1], WRITABLE],
      [ends.ids[2], 5],
    ]);
  });

  it('never skips a buffer that was not filled', () => {
    const ends = popped(layout, 3);
    for (const id of ends.ids) ends.device.push(id, 3);
    ends.device.flush();
    expect(ends.take()).toEqual(ends.ids.map((id) => [id, 3]));
  });

  it('goes on in the middle of a batch where the caller takes fewer buffers', () => {
    const ends = popped(layout, 4);
    for (const id of ends.ids) ends.device.push(id, WRITABLE);
    ends.device.flush();
    expect(ends.take(3)).toHaveLength(3);
    expect(ends.queue.enableNotifications()).toBe(false);
    expect(ends.take(3)).toEqual([[ends.ids[3], WRITABLE]]);
    expect(ends.queue.enableNotifications()).toBe(true);
    expect(ends.queue.outstanding).toBe(0);
  });

  it('starts over after a reset in the middle of a batch', () => {
    const ends = popped(layout, 4);
    for (const id of ends.ids) ends.device.push(id, WRITABLE);
    ends.device.flush();
    ends.take(1);
    expect(ends.queue.reset()).toHaveLength(3);
    expect(ends.take()).toEqual([]);
  });
});

describe('IN_ORDER on the wire', () => {
  it('uses one split element for a batch: in the slot of the first buffer, with the id of the last', () => {
    const ends = popped('split', 3);
    for (const id of ends.ids) ends.device.push(id, WRITABLE);
    ends.device.flush();
    const ring = splitRing(ends);
    expect([ring.usedIdx(), ring.usedId(0), ring.usedLength(0)]).toEqual([3, ends.ids[2], WRITABLE]);
    expect([ring.usedId(1), ring.usedId(2)]).toEqual([0, 0]);
  });

  it('uses one packed descriptor for a batch, and leaves the slots of the others alone', () => {
    const ends = popped('packed', 3);
    const ring = packedRing(ends);
    const before = [ring.flags(1), ring.flags(2)];
    for (const id of ends.ids) ends.device.push(id, WRITABLE);
    ends.device.flush();
    expect([ring.id(0), ring.length(0)]).toEqual([ends.ids[2], WRITABLE]);
    expect([ring.flags(1), ring.flags(2)]).toEqual(before);
  });
});

/**
 * Returns, as a device that may break the rules, the batch from buffer `first` on as one that ends with `id`, `count`
 * buffers later.
 */
function answer(ends: RingEnds, layout: QueueLayout, first: number, id: number, count: number, written = 1): void {
  if (layout === 'split') {
    splitRing(ends).writeUsedElement(first, id, written);
    splitRing(ends).publishUsedIdx(first + count);
    return;
  }
  packedRing(ends).writeUsed(first, id, written);
  packedRing(ends).publishFlags(first, usedFlags(FIRST_POSITION) | VIRTQ_DESC_F_WRITE);
}

describe.each(['split', 'packed'] as const)('IN_ORDER on a %s ring with a hostile device', (layout) => {
  it.each([7, 8, 0xffff])('D39 breaks over a batch that ends with %d, which is not outstanding', (id) => {
    const ends = popped(layout, 2);
    answer(ends, layout, 0, id, 2);
    expect(ends.take()).toEqual([]);
    expect([ends.queue.broken?.code, ends.queue.outstanding]).toEqual(['used-id-not-outstanding', 2]);
  });

  it('D39 D41 breaks over a batch that ends behind where it starts', () => {
    const ends = popped(layout, 4);
    answer(ends, layout, 0, ends.ids[2]!, 3);
    expect(ends.take()).toHaveLength(3);
    answer(ends, layout, 3, ends.ids[1]!, 1);
    expect(ends.take()).toEqual([]);
    expect([ends.queue.broken?.code, ends.queue.outstanding]).toEqual(['used-id-not-outstanding', 1]);
  });

  it('D40 takes a batch of everything, and not one more', () => {
    const ends = popped(layout, 4);
    answer(ends, layout, 0, ends.ids[3]!, 4);
    expect(ends.take()).toEqual(ends.ids.map((id, i) => [id, i === 3 ? 1 : WRITABLE]));
    answer(ends, layout, 4, 4, 1);
    expect(ends.take()).toEqual([]);
    expect(ends.queue.broken).toBeDefined();
  });

  it('D41 never returns a buffer before those in front of it', () => {
    const ends = popped(layout, 2);
    answer(ends, layout, 0, ends.ids[1]!, layout === 'split' ? 2 : 1);
    expect(ends.take()).toEqual([
      [ends.ids[0], WRITABLE],
      [ends.ids[1], 1],
    ]);
    answer(ends, layout, 2, ends.ids[0]!, 1);
    expect(ends.take()).toEqual([]);
    expect(ends.queue.broken).toBeDefined();
  });

  it('D42 breaks over a batch that claims more than the writable bytes of its last buffer', () => {
    const ends = popped(layout, 2);
    answer(ends, layout, 0, ends.ids[1]!, 2, WRITABLE + 1);
    expect(ends.take()).toEqual([[ends.ids[0], WRITABLE]]);
    expect(ends.queue.broken?.code).toBe('used-length-too-large');
  });
});

describe('IN_ORDER on a split ring whose index does not go as far as its batch', () => {
  it('D40 breaks where the index ends', () => {
    const ends = popped('split', 4);
    answer(ends, 'split', 0, ends.ids[3]!, 2);
    expect(ends.take()).toEqual([[ends.ids[0], WRITABLE]]);
    expect(ends.queue.broken?.code).toBe('used-index-out-of-range');
  });
});

describe('InFlightOrder', () => {
  it('gives buffers back in order, and says which were filled', () => {
    const order = new InFlightOrder(2);
    for (let lap = 0; lap < 3; lap++) {
      order.add(5, 10);
      order.add(6, 0);
      expect(() => order.take(6, 0)).toThrow(RangeError);
      expect([order.take(5, 9), order.take(6, 0)]).toEqual([false, true]);
      expect(() => order.take(5, 10)).toThrow(RangeError);
    }
  });
});
