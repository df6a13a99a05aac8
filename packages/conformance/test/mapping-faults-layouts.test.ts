import { ringOptions } from '@virtio-platform/conformance/testing';
import { DirectDmaMapping, DMA_NO_SPACE, DMA_TOO_LARGE } from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { openVirtqueue, QUEUE_FULL, ScatterList } from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import { LayoutRing, POOL_BYTES, SEGMENT } from './layout-ring.ts';

const TOO_LONG = POOL_BYTES + 1;

describe.each(['split', 'packed'] as const)('the driver of a %s ring over a mapping that has limits', (layout) => {
  it.each([0, 4])(
    'M2 R-08 asks to try again while the pool is full, and goes on after a completion, tables of %d',
    (indirect) => {
      const ring = new LayoutRing(layout, { isBounced: true, indirect });
      const id = ring.send();
      expect(ring.device.pop(ring.chain)).toBe(true);
      const taken: number[] = [];
      for (let copy = ring.pools.take(0, 1, 0); copy >= 0; copy = ring.pools.take(0, 1, 0)) taken.push(copy);
      const used = ring.pools.statistics.used;
      for (let tries = 0; tries < 3; tries++) expect(ring.send()).toBe(DMA_NO_SPACE);
      ring.pools.give(taken.pop()!, 1);
      // Room for the first segment and not for the second.
      expect(ring.send()).toBe(DMA_NO_SPACE);
      expect([ring.pools.statistics.used, ring.queue.outstanding, ring.queue.broken]).toEqual([used - 1, 1, undefined]);
      ring.device.push(id, SEGMENT);
      ring.device.flush();
      expect(ring.take()).toEqual([[id, SEGMENT]]);
      expect(ring.send()).toBeGreaterThanOrEqual(0);
      expect(ring.device.pop(ring.chain)).toBe(true);
      expect(ring.chain.count).toBe(2);
    },
  );

  it.each([0, 4])('M3 refuses a segment beyond the longest mapping, and is as before, tables of %d', (indirect) => {
    const ring = new LayoutRing(layout, { isBounced: true, indirect });
    const list = new ScatterList(2);
    list.addReadable(ring.buffer, SEGMENT);
    list.addWritable(ring.buffer, TOO_LONG);
    expect(ring.mapping.limits.maxMappingSize).toBe(POOL_BYTES);
    for (let tries = 0; tries < 20; tries++) expect(ring.queue.add(list)).toBe(DMA_TOO_LARGE);
    expect([ring.queue.publish(), ring.queue.outstanding, ring.queue.broken]).toEqual([false, 0, undefined]);
    expect([ring.mapping.statistics.live, ring.pools.statistics.used]).toEqual([ring.idle.live, 0]);
    ring.send();
    expect(ring.device.pop(ring.chain)).toBe(true);
    expect([ring.chain.count, ring.chain.readableBytes, ring.chain.writableBytes]).toEqual([2, SEGMENT, SEGMENT]);
  });

  it.each([0, 4])(
    'M4 describes neighbours in memory apart where the device finds them apart, tables of %d',
    (indirect) => {
      const ring = new LayoutRing(layout, { indirect });
      const list = new ScatterList(3);
      for (let i = 0; i < 3; i++) {
        list.addReadable(ring.buffer + i * SEGMENT, SEGMENT);
        ring.memory.u8.fill(i + 1, ring.buffer + i * SEGMENT, ring.buffer + (i + 1) * SEGMENT);
      }
      ring.queue.add(list);
      ring.queue.publish();
      expect(ring.device.pop(ring.chain)).toBe(true);
      const { low, length, count } = ring.chain;
      expect([count, ...length.subarray(0, count)]).toEqual([3, SEGMENT, SEGMENT, SEGMENT]);
      expect(low[1]! - low[0]!).toBeGreaterThan(SEGMENT);
      const bytes = new Uint8Array(SEGMENT);
      for (let i = 0; i < 3; i++) {
        expect(ring.space.read(low[i]!, ring.chain.high[i]!, bytes, 0, SEGMENT)).toBe(true);
        expect(bytes.every((byte) => byte === i + 1)).toBe(true);
      }
    },
  );

  it('M5 takes device address 0 for one like any other: of a buffer, which is unmapped once', () => {
    const memory = new GuestMemory(new SharedArrayBuffer(1 << 20));
    const buffer = memory.allocate(PAGE_SIZE);
    const offset = BigInt.asUintN(64, -BigInt(buffer));
    const mapping = new DirectDmaMapping(memory, { path: 'linear', capacity: 8, offset });
    const queue = openVirtqueue(layout, memory, mapping, ringOptions());
    const idle = mapping.statistics.live;
    const list = new ScatterList(2);
    list.addReadable(buffer, 16);
    list.addWritable(buffer, 16);
    const ring = (queue.addresses.words[0]! + buffer) / 4;
    for (let lap = 0; lap < 3; lap++) {
      expect([queue.add(list), queue.publish()]).toEqual([0, true]);
      expect([...memory.u32.subarray(ring, ring + 3)]).toEqual([0, 0, 16]);
      expect(mapping.statistics.live).toBe(idle + 2);
      expect(queue.reset()).toEqual([0]);
      expect(mapping.statistics.live).toBe(idle);
    }
  });

  it('M8 gives every mapping back once, though the device names its buffer again', () => {
    const ring = new LayoutRing(layout);
    const [id] = [ring.send(), ring.send()];
    ring.answer(id, SEGMENT, 2);
    ring.answer(id, SEGMENT, 2);
    const { unmaps } = ring.mapping.statistics;
    expect(ring.take()).toEqual([[id, SEGMENT]]);
    expect(ring.queue.broken?.code).toBe('used-id-not-outstanding');
    expect(ring.mapping.statistics.unmaps - unmaps).toBe(2);
    ring.queue.reset();
    expect(ring.mapping.statistics.unmaps - unmaps).toBe(4);
  });

  it('M9 shows the device the bytes of its buffers and none of their neighbours', () => {
    const ring = new LayoutRing(layout, { isBounced: true });
    ring.memory.u8.fill(0x5e, ring.buffer, ring.buffer + 2 * PAGE_SIZE);
    const list = new ScatterList(2);
    list.addReadable(ring.buffer + 50, SEGMENT);
    list.addWritable(ring.buffer + PAGE_SIZE + 50, SEGMENT);
    for (const at of [list.address[0]!, list.address[1]!]) ring.memory.u8.fill(0x11, at, at + SEGMENT);
    ring.queue.add(list);
    ring.queue.publish();
    expect(ring.device.pop(ring.chain)).toBe(true);
    const first = Math.floor(ring.chain.low[0]! / PAGE_SIZE) * PAGE_SIZE;
    const pool = ring.memory.u8.subarray(first, first + POOL_BYTES);
    expect([pool.includes(0x5e), pool.filter((byte) => byte === 0x11).length]).toEqual([false, 2 * SEGMENT]);
    ring.fill(1, 0xaa, 2048);
    ring.device.push(ring.chain.head, SEGMENT);
    ring.device.flush();
    ring.take();
    const at = ring.buffer + PAGE_SIZE + 50;
    expect([ring.memory.u8[at - 1], ring.memory.u8[at], ring.memory.u8[at + SEGMENT]]).toEqual([0x5e, 0xaa, 0x5e]);
  });

  it('M9 keeps the neighbours of a buffer out of reach of a device that is confined', () => {
    const ring = new LayoutRing(layout);
    ring.send();
    ring.device.pop(ring.chain);
    const bytes = new Uint8Array(1);
    const reads = (offset: number): boolean =>
      ring.space.read(ring.chain.low[0]! + offset, ring.chain.high[0]!, bytes, 0, 1);
    expect([reads(0), reads(SEGMENT - 1), reads(SEGMENT), reads(-1)]).toEqual([true, true, false, false]);
  });

  it('R-08 tells a full queue and a full mapping from each other, and from a broken queue', () => {
    const ring = new LayoutRing(layout, { size: 2 });
    ring.poisoning!.failMapsAfter(0);
    expect(ring.add()).toBe(DMA_NO_SPACE);
    ring.poisoning!.failMapsAfter(Infinity);
    const id = ring.send();
    expect([id >= 0, ring.add()]).toEqual([true, QUEUE_FULL]);
    expect(ring.queue.broken).toBeUndefined();
  });
});
