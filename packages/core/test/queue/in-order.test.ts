import { FaultLog, PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import {
  DescriptorChain,
  FIRST_POSITION,
  InFlightOrder,
  SplitRing,
  openDeviceQueue,
  openVirtqueue,
  PackedRing,
  ScatterList,
  UsedBatch,
  usedFlags,
  VIRTQ_DESC_F_WRITE,
  type DeviceQueue,
  type QueueLayout,
  type Virtqueue,
} from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';

const SIZE = 8;
const ROOM = 16;

interface Ends {
  readonly memory: GuestMemory;
  readonly queue: Virtqueue;
  readonly device: DeviceQueue;
  readonly ids: readonly number[];
}

/** Both ends with IN_ORDER, and `count` buffers with room for 16 bytes that the device has popped. */
function popped(layout: QueueLayout, count: number): Ends {
  const memory = new GuestMemory(new SharedArrayBuffer(0x1_0000));
  const mapping = new DirectDmaMapping(memory, { path: 'physical', capacity: 64 });
  const shared = { byteOrder: 'little', eventIdx: false, inOrder: true } as const;
  const options = { ...shared, index: 0, size: SIZE, indirect: 0, legacyLayout: false, usedLength: 'strict' } as const;
  const queue = openVirtqueue(layout, memory, mapping, options);
  const space = PHYSICAL_ADDRESS_SPACE.open(memory, new FaultLog(), undefined);
  const device = openDeviceQueue(layout, space, { ...shared, addresses: queue.addresses, indirect: false });
  const list = new ScatterList(1);
  const chain = new DescriptorChain(SIZE);
  const ids: number[] = [];
  for (let i = 0; i < count; i++) {
    list.clear();
    list.addWritable(0x8000 + i * ROOM, ROOM);
    ids.push(queue.add(list));
  }
  queue.publish();
  for (let i = 0; i < count; i++) expect(device.pop(chain)).toBe(true);
  return { memory, queue, device, ids };
}

function take(queue: Virtqueue, capacity = SIZE): [number, number][] {
  const batch = new UsedBatch(capacity);
  const count = queue.takeUsed(batch);
  return Array.from({ length: count }, (_, i) => [batch.ids[i]!, batch.written[i]!]);
}

function splitRing({ memory, queue }: Ends): SplitRing {
  const { words } = queue.addresses;
  return new SplitRing(memory, words[2]!, words[4]!, SIZE);
}

function packedRing({ memory, queue }: Ends): PackedRing {
  const { words } = queue.addresses;
  return new PackedRing(memory, words[0]!, words[2]!, words[4]!);
}

describe.each(['split', 'packed'] as const)('IN_ORDER on a %s ring', (layout) => {
  it('S-26 P-16 D42 takes buffers that were skipped for completely used', () => {
    const ends = popped(layout, 3);
    for (const [i, id] of ends.ids.entries()) ends.device.push(id, i === 2 ? 5 : ROOM);
    ends.device.flush();
    expect(take(ends.queue)).toEqual([
      [ends.ids[0], ROOM],
      [ends.ids[1], ROOM],
      [ends.ids[2], 5],
    ]);
  });

  it('never skips a buffer that was not filled', () => {
    const ends = popped(layout, 3);
    for (const id of ends.ids) ends.device.push(id, 3);
    ends.device.flush();
    expect(take(ends.queue)).toEqual(ends.ids.map((id) => [id, 3]));
  });

  it('goes on in the middle of a batch where the caller takes fewer', () => {
    const ends = popped(layout, 4);
    for (const id of ends.ids) ends.device.push(id, ROOM);
    ends.device.flush();
    expect(take(ends.queue, 3)).toHaveLength(3);
    expect(ends.queue.enableNotifications()).toBe(false);
    expect(take(ends.queue, 3)).toEqual([[ends.ids[3], ROOM]]);
    expect(ends.queue.enableNotifications()).toBe(true);
    expect(ends.queue.outstanding).toBe(0);
  });

  it('starts anew after a reset in the middle of a batch', () => {
    const ends = popped(layout, 4);
    for (const id of ends.ids) ends.device.push(id, ROOM);
    ends.device.flush();
    take(ends.queue, 1);
    expect(ends.queue.reset()).toHaveLength(3);
    expect(take(ends.queue)).toEqual([]);
  });
});

describe('IN_ORDER on the wire', () => {
  it('uses one split element for a batch: in the slot of the first buffer, with the id of the last', () => {
    const ends = popped('split', 3);
    for (const id of ends.ids) ends.device.push(id, ROOM);
    ends.device.flush();
    const ring = splitRing(ends);
    expect([ring.usedIdx(), ring.usedId(0), ring.usedLength(0)]).toEqual([3, ends.ids[2], ROOM]);
    expect([ring.usedId(1), ring.usedId(2)]).toEqual([0, 0]);
  });

  it('uses one packed descriptor for a batch, and leaves the slots of the others alone', () => {
    const ends = popped('packed', 3);
    const ring = packedRing(ends);
    const before = [ring.flags(1), ring.flags(2)];
    for (const id of ends.ids) ends.device.push(id, ROOM);
    ends.device.flush();
    expect([ring.id(0), ring.length(0)]).toEqual([ends.ids[2], ROOM]);
    expect([ring.flags(1), ring.flags(2)]).toEqual(before);
  });
});

/** Says as a device that the batch from buffer `first` on ends with `id`, `count` buffers later, true or not. */
function answer(ends: Ends, layout: QueueLayout, first: number, id: number, count: number, written = 1): void {
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
    expect(take(ends.queue)).toEqual([]);
    expect([ends.queue.broken?.code, ends.queue.outstanding]).toEqual(['used-id-not-outstanding', 2]);
  });

  it('D39 D41 breaks over a batch that ends behind where it starts', () => {
    const ends = popped(layout, 4);
    answer(ends, layout, 0, ends.ids[2]!, 3);
    expect(take(ends.queue)).toHaveLength(3);
    answer(ends, layout, 3, ends.ids[1]!, 1);
    expect(take(ends.queue)).toEqual([]);
    expect([ends.queue.broken?.code, ends.queue.outstanding]).toEqual(['used-id-not-outstanding', 1]);
  });

  it('D40 takes a batch of everything, and not one more', () => {
    const ends = popped(layout, 4);
    answer(ends, layout, 0, ends.ids[3]!, 4);
    expect(take(ends.queue)).toEqual(ends.ids.map((id, i) => [id, i === 3 ? 1 : ROOM]));
    answer(ends, layout, 4, 4, 1);
    expect(take(ends.queue)).toEqual([]);
    expect(ends.queue.broken).toBeDefined();
  });

  it('D41 never returns a buffer before those in front of it', () => {
    const ends = popped(layout, 2);
    answer(ends, layout, 0, ends.ids[1]!, layout === 'split' ? 2 : 1);
    expect(take(ends.queue)).toEqual([
      [ends.ids[0], ROOM],
      [ends.ids[1], 1],
    ]);
    answer(ends, layout, 2, ends.ids[0]!, 1);
    expect(take(ends.queue)).toEqual([]);
    expect(ends.queue.broken).toBeDefined();
  });

  it('D42 breaks over a batch whose last buffer is said to have more than it has room for', () => {
    const ends = popped(layout, 2);
    answer(ends, layout, 0, ends.ids[1]!, 2, ROOM + 1);
    expect(take(ends.queue)).toEqual([[ends.ids[0], ROOM]]);
    expect(ends.queue.broken?.code).toBe('used-length-too-large');
  });
});

describe('IN_ORDER on a split ring whose index does not go as far as its batch', () => {
  it('D40 breaks where the index ends', () => {
    const ends = popped('split', 4);
    answer(ends, 'split', 0, ends.ids[3]!, 2);
    expect(take(ends.queue)).toEqual([[ends.ids[0], ROOM]]);
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
