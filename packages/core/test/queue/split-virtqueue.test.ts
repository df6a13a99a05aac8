import { DmaDirection } from '@virtio-platform/core/dma';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { DescriptorChain, QUEUE_FULL, ScatterList, UsedBatch } from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import { RingEnds, type RingEndsOptions } from './ring-ends.ts';

/** Both ends of a split queue of 4 entries, and a page for buffers. */
function openPair(options: Partial<RingEndsOptions> = {}): RingEnds & { readonly buffer: number } {
  const ends = new RingEnds({ index: 3, size: 4, ...options, layout: 'split' });
  return Object.assign(ends, { buffer: ends.memory.allocate(PAGE_SIZE) });
}

function listOf(buffer: number, readable: number, writable: number): ScatterList {
  const list = new ScatterList(readable + writable);
  for (let i = 0; i < readable; i++) list.addReadable(buffer + i, 1);
  for (let i = 0; i < writable; i++) list.addWritable(buffer + 64 + i, 1);
  return list;
}

describe('SplitVirtqueue', () => {
  it.each([
    ['little', false],
    ['little', true],
    ['big', false],
    ['big', true],
  ] as const)('carries buffers %s-endian, legacy layout %s', (byteOrder, legacyLayout) => {
    const { queue, device, buffer } = openPair({ byteOrder, legacyLayout });
    const { words } = queue.addresses;
    if (legacyLayout) expect([words[0]! % 4096, words[4]! % 4096]).toEqual([0, 0]);
    expect([words[0]! % 16, words[2]! % 2, words[4]! % 4]).toEqual([0, 0, 0]);
    const id = queue.add(listOf(buffer, 2, 1));
    queue.publish();
    const chain = new DescriptorChain(4);
    expect(device.pop(chain)).toBe(true);
    expect([...chain.low.subarray(0, 3)]).toEqual([buffer, buffer + 1, buffer + 64]);
    device.push(chain.head, 1);
    device.flush();
    const batch = new UsedBatch(4);
    expect([queue.takeUsed(batch), batch.ids[0], batch.written[0]]).toEqual([1, id, 1]);
  });

  it.each([false, true])('goes on across the wrap of its indices at 65535, event index %s', (eventIdx) => {
    const { queue, device, buffer, mapping } = openPair({ eventIdx });
    const list = listOf(buffer, 1, 0);
    const chain = new DescriptorChain(4);
    const batch = new UsedBatch(4);
    let lost = 0;
    let wrong = 0;
    let sent = 0;
    for (let round = 0; sent < 70_000; round++) {
      if (!device.enableNotifications() || !queue.enableNotifications()) wrong++;
      const heads: number[] = [];
      for (let i = 0; i <= round % 4; i++, sent++) heads.push(queue.add(list));
      if (!queue.publish()) lost++;
      for (const head of heads) if (!device.pop(chain) || chain.head !== head) wrong++;
      for (const head of heads) device.push(head, 0);
      if (!device.flush()) lost++;
      if (queue.takeUsed(batch) !== heads.length) wrong++;
      for (const [i, head] of heads.entries()) if (batch.ids[i] !== head) wrong++;
    }
    expect([lost, wrong, queue.outstanding, mapping.statistics.live]).toEqual([0, 0, 0, 1]);
    expect([queue.broken, device.broken]).toEqual([undefined, undefined]);
  });

  it('keeps an old buffer apart from a new one when the indices went around in between', () => {
    const { queue, device, buffer } = openPair();
    const list = listOf(buffer, 1, 0);
    const chain = new DescriptorChain(4);
    const batch = new UsedBatch(4);
    const old = queue.add(list);
    queue.publish();
    device.pop(chain);
    for (let i = 0; i < 65_535; i++) {
      queue.add(list);
      queue.publish();
      device.pop(chain);
      device.push(chain.head, 0);
      device.flush();
      queue.takeUsed(batch);
    }
    queue.add(list);
    device.push(old, 0);
    device.flush();
    expect([queue.takeUsed(batch), batch.ids[0], queue.broken]).toEqual([1, old, undefined]);
  });

  it('is full when its descriptors are used up, and takes tables of one descriptor each with INDIRECT_DESC', () => {
    const direct = openPair();
    expect(direct.queue.add(listOf(direct.buffer, 2, 1))).toBeGreaterThanOrEqual(0);
    expect(direct.queue.add(listOf(direct.buffer, 1, 1))).toBe(QUEUE_FULL);
    expect(direct.queue.add(listOf(direct.buffer, 1, 0))).toBeGreaterThanOrEqual(0);
    expect(direct.queue.add(listOf(direct.buffer, 1, 0))).toBe(QUEUE_FULL);

    const indirect = openPair({ indirect: 3 });
    for (let i = 0; i < 4; i++) expect(indirect.queue.add(listOf(indirect.buffer, 2, 1))).toBeGreaterThanOrEqual(0);
    expect(indirect.queue.add(listOf(indirect.buffer, 1, 0))).toBe(QUEUE_FULL);
  });

  it('S-10 makes no chain longer than the queue, not even through a table', () => {
    const { queue, buffer, mapping } = openPair({ indirect: 64 });
    expect(() => queue.add(listOf(buffer, 5, 0))).toThrow(RangeError);
    expect(mapping.statistics.live).toBe(2);
    expect(queue.add(listOf(buffer, 4, 0))).toBeGreaterThanOrEqual(0);
  });

  it('throws TypeError for a request without segments', () => {
    expect(() => openPair().queue.add(new ScatterList(1))).toThrow(TypeError);
  });

  it('maps no premapped segment, and leaves it mapped when the buffer comes back', () => {
    const { queue, device, mapping, buffer } = openPair();
    const region = mapping.premap(buffer, PAGE_SIZE, DmaDirection.Bidirectional);
    const before = mapping.statistics;
    const list = new ScatterList(2);
    list.addReadableRegion(region, 8, 8);
    list.addWritableRegion(region, 16, 8);
    queue.add(list);
    queue.publish();
    const chain = new DescriptorChain(4);
    device.pop(chain);
    expect([...chain.low.subarray(0, 2)]).toEqual([buffer + 8, buffer + 16]);
    device.push(chain.head, 8);
    device.flush();
    expect(queue.takeUsed(new UsedBatch(1))).toBe(1);
    expect(mapping.statistics).toEqual(before);
  });

  it('S-17 S-19 keeps its notification flag at 0 with EVENT_IDX and the field of the other side out of it', () => {
    const { queue, memory } = openPair({ eventIdx: true });
    const avail = queue.addresses.words[2]! / 2;
    queue.disableNotifications();
    expect(memory.u16[avail]).toBe(0);
    const plain = openPair();
    plain.queue.disableNotifications();
    expect(plain.memory.u16[plain.queue.addresses.words[2]! / 2]).toBe(1);
    expect(plain.queue.enableNotifications()).toBe(true);
    expect(plain.memory.u16[plain.queue.addresses.words[2]! / 2]).toBe(0);
  });

  it('is as after construction once it was reset', () => {
    const { queue, memory, mapping, buffer } = openPair({ eventIdx: true });
    const [first, second] = [queue.add(listOf(buffer, 1, 1)), queue.add(listOf(buffer, 1, 0))];
    queue.publish();
    queue.disableNotifications();
    queue.markBroken({ code: 'marked-by-owner', detail: 'test' });
    queue.markBroken({ code: 'ring-unreachable', detail: 'later' });
    expect(queue.broken?.detail).toBe('test');
    expect(queue.reset()).toEqual([first, second]);
    expect([queue.outstanding, queue.broken, mapping.statistics.live]).toEqual([0, undefined, 1]);
    const [avail, used] = [queue.addresses.words[2]! / 2, queue.addresses.words[4]! / 2];
    expect([memory.u16[avail], memory.u16[avail + 1], memory.u16[avail + 6], memory.u16[used + 1]]).toEqual([
      0, 0, 0, 0,
    ]);
    for (let i = 0; i < 4; i++) expect(queue.add(listOf(buffer, 1, 0))).toBeGreaterThanOrEqual(0);
  });

  it('gives all its memory back when it is disposed', () => {
    const { queue, memory, mapping, buffer } = openPair({ indirect: 4 });
    queue.add(listOf(buffer, 2, 2));
    queue.dispose();
    memory.free(buffer);
    expect([mapping.statistics.live, memory.allocated]).toEqual([0, 0]);
  });
});
