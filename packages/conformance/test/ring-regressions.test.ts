import { ringOptions } from '@virtio-platform/conformance/testing';
import { BouncePool, DirectDmaMapping, DMA_UNREACHABLE, DmaDirection } from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import {
  openDeviceQueue,
  openVirtqueue,
  ScatterList,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_WRITE,
  type Virtqueue,
} from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import { LayoutRing, SEGMENT } from './layout-ring.ts';

// Bugs that the ring of Linux had. are with the places that they are about.
describe.each(['split', 'packed'] as const)('historic bugs, on a %s ring', (layout) => {
  it('R-04 a queue without memory for its tables is refused, and its ring is given back', () => {
    const memory = new GuestMemory(new SharedArrayBuffer(1 << 20));
    const mapping = new DirectDmaMapping(memory, { path: 'physical', capacity: 4 });
    expect(() => openVirtqueue(layout, memory, mapping, ringOptions({ size: 1024, indirect: 512 }))).toThrow(
      expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED' }),
    );
    expect([memory.allocated, mapping.statistics.live]).toEqual([0, 0]);
  });

  it('R-04 R-08 a table whose buffers cannot be mapped leaves nothing behind, and no descriptor of it', () => {
    const ring = new LayoutRing(layout, { indirect: 4 });
    for (let mapped = 0; mapped < 3; mapped++) {
      ring.poisoning!.failMapsAfter(mapped);
      expect(ring.add(1, 2)).toBeLessThan(0);
      expect(ring.mapping.statistics.live).toBe(ring.idle.live);
    }
    ring.poisoning!.failMapsAfter(Infinity);
    expect([ring.queue.publish(), ring.device.pop(ring.chain)]).toEqual([false, false]);
    ring.send(1, 2);
    expect(ring.device.pop(ring.chain)).toBe(true);
    expect(ring.chain.count).toBe(3);
  });

  it('R-09 switched off, it stays silent for nearly a lap of the index, and speaks again once it is switched on', () => {
    const ring = new LayoutRing(layout, { eventIdx: true });
    const next = (): boolean => {
      ring.send(1, 0);
      ring.device.pop(ring.chain);
      ring.device.push(ring.chain.head, 0);
      const isNotified = ring.device.flush();
      ring.take();
      return isNotified;
    };
    for (const before of [0, 1, 5]) {
      for (let i = 0; i < before; i++) next();
      ring.queue.disableNotifications();
      for (let i = 0; i < 100; i++) expect(next()).toBe(false);
      expect(ring.queue.enableNotifications()).toBe(true);
      expect(next()).toBe(true);
    }
  });

  it('R-10 one request to be told is one notification, however often it asks and however many buffers come back', () => {
    const ring = new LayoutRing(layout, { eventIdx: true });
    const answerAll = (count: number): boolean[] => {
      for (let i = 0; i < count; i++) ring.send(1, 0);
      return Array.from({ length: count }, () => {
        ring.device.pop(ring.chain);
        ring.device.push(ring.chain.head, 0);
        return ring.device.flush();
      });
    };
    for (let lap = 0; lap < 10; lap++) {
      expect([ring.queue.enableNotifications(), ring.queue.enableNotifications()]).toEqual([true, true]);
      expect(answerAll(5)).toEqual([true, false, false, false, false]);
      // The driver was told and has not looked yet.
      expect(ring.queue.enableNotifications()).toBe(false);
      expect(ring.take()).toHaveLength(5);
    }
  });

  it.each([0, 4])(
    'R-12 R-13 a reset gives back every mapping and every id once, and all of the queue, tables of %d',
    (indirect) => {
      const ring = new LayoutRing(layout, { indirect });
      for (let lap = 0; lap < 5; lap++) {
        const ids: number[] = [];
        for (let id = ring.add(); id >= 0; id = ring.add()) ids.push(id);
        expect(ids).toHaveLength(indirect > 0 ? 8 : 4);
        if (lap % 2 === 0) ring.queue.publish();
        expect(ring.queue.reset().toSorted((a, b) => a - b)).toEqual(ids.toSorted((a, b) => a - b));
        expect([ring.queue.outstanding, ring.mapping.statistics.live]).toEqual([0, ring.idle.live]);
      }
      ring.queue.dispose();
      ring.memory.free(ring.buffer);
      expect([ring.mapping.statistics.live, ring.memory.allocated]).toEqual([0, 0]);
    },
  );

  it('R-12 a queue is resized with nothing left mapped, and where the new size has no memory that is an error', () => {
    const ring = new LayoutRing(layout, { indirect: 4 });
    ring.send(1, 2);
    ring.send();
    ring.queue.reset();
    ring.queue.dispose();
    const idle = [ring.mapping.statistics.live, ring.memory.allocated];
    expect(idle[0]).toBe(0);
    const resize = (size: number): Virtqueue =>
      openVirtqueue(layout, ring.memory, ring.mapping, ringOptions({ size, indirect: 16 }));
    expect(() => resize(32768)).toThrow(expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED' }));
    expect(() => resize(0)).toThrow(RangeError);
    expect([ring.mapping.statistics.live, ring.memory.allocated]).toEqual(idle);
    const queue = resize(16);
    const list = new ScatterList(1);
    list.addWritable(ring.buffer, SEGMENT);
    for (let i = 0; i < 16; i++) expect(queue.add(list)).toBe(i);
    queue.dispose();
    expect([ring.mapping.statistics.live, ring.memory.allocated]).toEqual(idle);
  });

  it('R-12 R-13 a ring that was reset shows neither end anything of what was in it', () => {
    const ring = new LayoutRing(layout);
    const [first] = [ring.send(), ring.send()];
    ring.answer(first, SEGMENT, 2);
    expect(ring.queue.reset()).toHaveLength(2);
    expect([ring.take(), ring.queue.broken]).toEqual([[], undefined]);
    const { addresses } = ring.queue;
    const device = openDeviceQueue(layout, ring.space, {
      addresses,
      eventIdx: false,
      indirect: false,
      byteOrder: 'little',
    });
    expect([device.pop(ring.chain), device.broken]).toEqual([false, undefined]);
    const id = ring.send();
    expect([device.pop(ring.chain), ring.chain.head, device.pop(ring.chain)]).toEqual([true, id, false]);
  });

  it.each([0, 4])(
    'R-14 what was mapped before stays mapped, and what was not is given back once, tables of %d',
    (indirect) => {
      const ring = new LayoutRing(layout, { indirect });
      const region = ring.mapping.premap(ring.buffer, PAGE_SIZE, DmaDirection.ToDevice);
      const answers = ring.mapping.premap(ring.buffer + PAGE_SIZE, PAGE_SIZE, DmaDirection.FromDevice);
      const { live, unmaps } = ring.mapping.statistics;
      const list = new ScatterList(4);
      list.addReadableRegion(region, 8, 8);
      list.addReadable(ring.buffer, SEGMENT);
      list.addWritableRegion(answers, 0, SEGMENT);
      list.addWritable(ring.buffer + PAGE_SIZE + SEGMENT, SEGMENT);
      for (let lap = 1; lap <= 5; lap++) {
        ring.queue.add(list);
        ring.queue.publish();
        expect(ring.device.pop(ring.chain)).toBe(true);
        expect(ring.mapping.statistics.live).toBe(live + 2);
        expect(ring.fill(3, lap)).toBe(true);
        ring.device.push(ring.chain.head, 2 * SEGMENT);
        ring.device.flush();
        expect(ring.take()).toEqual([[ring.chain.head, 2 * SEGMENT]]);
        expect(ring.received(1)).toEqual(Array.from({ length: SEGMENT }, () => lap));
        expect([ring.mapping.statistics.live, ring.mapping.statistics.unmaps]).toEqual([live, unmaps + 2 * lap]);
      }
      expect(ring.fill(2, 1)).toBe(true);
      // A region reused by a streaming request in the same entries must not inherit its mapping.
      ring.queue.add(list);
      ring.queue.reset();
      expect(ring.mapping.statistics.live).toBe(live);
    },
  );
});

describe('historic bugs of the mapping', () => {
  it('R-11 lengths beyond 32 bits are too long, not short', () => {
    const memory = new GuestMemory(new SharedArrayBuffer(1 << 20));
    const mapping = new DirectDmaMapping(memory, { path: 'physical', capacity: 4 });
    const words = new Uint32Array(2);
    expect(mapping.map(0, 2 ** 32 + 16, DmaDirection.ToDevice, words, 0)).toBe(DMA_UNREACHABLE);
    expect(mapping.map(2 ** 32, 16, DmaDirection.ToDevice, words, 0)).toBe(DMA_UNREACHABLE);
    expect(new BouncePool({ bytes: 256 * 1024 }).take(0, 2 ** 32 + 16, 0)).toBe(-1);
    const list = new ScatterList(2);
    list.addReadable(0, 0xffff_ffff);
    expect(() => list.addWritable(0, 1)).toThrow(RangeError);
    expect(() => new ScatterList(1).addReadable(0, 2 ** 32 + 16)).toThrow(RangeError);
  });
});

// Its list has no state to save here yet; of the rest, what both ends have to hold is below.
describe('R-15 the mistakes that others made with packed rings', () => {
  it('a used descriptor has its own WRITE and neither NEXT nor INDIRECT', () => {
    for (const indirect of [0, 4]) {
      const ring = new LayoutRing('packed', { indirect });
      ring.send(1, 1);
      ring.device.pop(ring.chain);
      ring.device.push(ring.chain.head, 7);
      ring.device.flush();
      const [descriptor] = ring.areas();
      const flags = ring.memory.u16[descriptor / 2 + 7]!;
      expect(flags & (VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_INDIRECT | VIRTQ_DESC_F_WRITE)).toBe(VIRTQ_DESC_F_WRITE);
    }
  });

  it('an event has its slot in the low 15 bits and the wrap counter in the highest, and its flags are one value, not bits', () => {
    const ring = new LayoutRing('packed', { eventIdx: true, size: 3 });
    const [, driver] = ring.areas();
    const events: number[] = [];
    for (let i = 0; i < 7; i++) {
      ring.queue.enableNotifications();
      events.push(ring.memory.u32[driver / 4]!);
      ring.send(1, 0);
      ring.device.pop(ring.chain);
      ring.device.push(ring.chain.head, 0);
      ring.device.flush();
      ring.take();
    }
    expect(events).toEqual([0x28000, 0x28001, 0x28002, 0x20000, 0x20001, 0x20002, 0x28000]);
    ring.queue.disableNotifications();
    expect(ring.memory.u16[driver / 2 + 1]).toBe(1);
  });

  it('a difference of places is never a truth value: a batch notifies where the event lies anywhere in it', () => {
    for (let event = 0; event < 8; event++) {
      const ring = new LayoutRing('packed', { eventIdx: true });
      const [, driver] = ring.areas();
      Atomics.store(ring.memory.u32, driver / 4, event | 0x8000 | (2 << 16));
      for (let i = 0; i < 5; i++) ring.send(1, 0);
      for (let i = 0; i < 5; i++) {
        ring.device.pop(ring.chain);
        ring.device.push(ring.chain.head, 0);
      }
      expect(ring.device.flush()).toBe(event < 5);
    }
  });
});
