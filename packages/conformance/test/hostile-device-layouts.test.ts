import { ringOptions } from '@virtio-platform/conformance/testing';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import {
  openVirtqueue,
  QUEUE_BROKEN,
  RING_EVENT_FLAGS_DESC,
  VIRTQ_DESC_F_WRITE,
  type BrokenCode,
} from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import { LayoutRing, SEGMENT, type LayoutRingOptions } from './layout-ring.ts';

const filled = (byte: number, length: number): number[] =>
  Array.from({ length: SEGMENT }, (_, i) => (i < length ? byte : 0));

/** Takes what came back and expects the queue to be broken for that reason. */
function expectBroken(ring: LayoutRing, code: BrokenCode, outstanding: number): void {
  expect(ring.take()).toEqual([]);
  expect(ring.queue.broken?.code).toBe(code);
  expect([ring.add(), ring.queue.publish(), ring.queue.outstanding]).toEqual([QUEUE_BROKEN, false, outstanding]);
}

describe.each(['split', 'packed'] as const)('the driver of a %s ring against a hostile device', (layout) => {
  const open = (options?: LayoutRingOptions): LayoutRing => new LayoutRing(layout, options);

  it('D05 breaks over the descriptor in the middle of a chain', () => {
    const ring = open();
    const id = ring.send(2, 1);
    ring.answer((id + 1) % 8, 0, 3);
    expectBroken(ring, 'used-id-not-outstanding', 1);
  });

  // Nothing in the ring tells the new request from the old one: a device that names an id twice, in time, is believed.
  it('D06 takes an id that was given again for the request that has it now, and for no other', () => {
    const ring = open({ size: 2 });
    const first = ring.send();
    ring.answer(first, 5, 2);
    expect(ring.take()).toEqual([[first, 5]]);
    // The request that has it now has more room, so that the two are told apart.
    expect(ring.send(0, 2)).toBe(first);
    ring.answer(first, SEGMENT + 6, 2);
    expect(ring.take()).toEqual([[first, SEGMENT + 6]]);
    ring.answer(first, 7, 2);
    expect(ring.take()).toEqual([]);
    expect(ring.queue.broken).toBeDefined();
  });

  it('D11 breaks over a length that counts the readable part too', () => {
    const ring = open();
    ring.answer(ring.send(2, 1), 3 * SEGMENT, 3);
    expectBroken(ring, 'used-length-too-large', 1);
  });

  it.each([0, 4])(
    'D13 shows the caller what the device vouches for, across segments, with tables of %d',
    (indirect) => {
      const ring = open({ indirect });
      const id = ring.send(1, 2);
      expect(ring.device.pop(ring.chain)).toBe(true);
      expect([ring.fill(1, 0xaa), ring.fill(2, 0xbb)]).toEqual([true, true]);
      ring.answer(id, SEGMENT + 10, indirect > 0 ? 1 : 3);
      expect(ring.take()).toEqual([[id, SEGMENT + 10]]);
      expect([ring.received(0), ring.received(1)]).toEqual([filled(0xaa, SEGMENT), filled(0xbb, 10)]);
    },
  );

  it('D19 R-05 gives every segment back in the direction in which it was mapped, whatever the ring says by then', () => {
    for (const indirect of [0, 4]) {
      const ring = open({ indirect });
      ring.memory.u8.fill(0x11, ring.buffer, ring.buffer + SEGMENT);
      const id = ring.send();
      ring.device.pop(ring.chain);
      const [descriptor] = ring.areas();
      expect([ring.fill(0, 0xee), ring.fill(1, 0xaa)]).toEqual([false, true]);
      for (let slot = 0; slot < 8; slot++) {
        const flags = layout === 'split' ? 12 : 14;
        ring.memory.u8[descriptor + slot * 16 + flags]! ^= VIRTQ_DESC_F_WRITE;
      }
      ring.answer(id, SEGMENT, indirect > 0 ? 1 : 2);
      expect(ring.take()).toEqual([[id, SEGMENT]]);
      expect(ring.received()).toEqual(filled(0xaa, SEGMENT));
      expect(ring.memory.u8[ring.buffer]).toBe(0x11);
    }
  });

  it('D22 D36 hears that notifications are unwanted from the bits that say so alone', () => {
    const ring = open();
    const [, , device] = ring.areas();
    // used.flags, or the flags of the event structure.
    const at = layout === 'split' ? device / 2 : device / 2 + 1;
    const heard = [0, 0xfffc, 1, 0xfffd].map((flags) => {
      Atomics.store(ring.memory.u16, at, flags);
      ring.add(1, 0);
      return ring.queue.publish();
    });
    expect(heard).toEqual([true, true, false, false]);
  });

  it('D23 loses a kick and nothing else over a poisoned event', () => {
    const ring = open({ eventIdx: true });
    const [, , device] = ring.areas();
    for (const event of [0x7abc, 0x4000, 0x7fff, 0x0100, 0x7abd]) {
      if (layout === 'split') Atomics.store(ring.memory.u16, device / 2 + 2 + 4 * 8, event);
      else Atomics.store(ring.memory.u32, device / 4, event | (RING_EVENT_FLAGS_DESC << 16));
      const id = ring.add();
      expect(ring.queue.publish()).toBe(false);
      expect([ring.device.pop(ring.chain), ring.chain.head]).toEqual([true, id]);
      ring.device.push(id, 3);
      ring.device.flush();
      expect(ring.take()).toEqual([[id, 3]]);
    }
    expect(ring.queue.broken).toBeUndefined();
  });

  /** Overwrites one field of every descriptor in the ring with each of these values. */
  const OVERWRITES: readonly [string, offset: number, bytes: 2 | 4, values: readonly number[]][] = [
    ['D15 the address', 0, 4, [0, 0x1000, 0xffff_ffff]],
    ['D15 the high half of the address', 4, 4, [0, 0xffff_ffff]],
    ['D16 the length', 8, 4, [0, 8, 0xffff_ffff]],
    ['D17 the flags', layout === 'split' ? 12 : 14, 2, [0, 1, 2, 3, 4, 7]],
    [layout === 'split' ? 'D18 next' : 'the id', layout === 'split' ? 14 : 12, 2, [0, 1, 2, 7, 8, 0xffff]],
  ];

  it.each(OVERWRITES)('%s overwritten in flight, in every descriptor, changes nothing', (_, offset, bytes, values) => {
    for (const value of values) {
      const ring = open();
      const ids = [ring.send(), ring.send()];
      expect([ring.device.pop(ring.chain), ring.fill(1, 0xaa)]).toEqual([true, true]);
      const [descriptor] = ring.areas();
      for (let slot = 0; slot < 8; slot++) {
        const at = descriptor + slot * 16 + offset;
        if (bytes === 4) ring.memory.u32[at / 4] = value;
        else ring.memory.u16[at / 2] = value;
      }
      ring.answer(ids[0]!, 50, 2);
      expect(ring.take(1), ring.queue.broken?.detail).toEqual([[ids[0], 50]]);
      expect(ring.received()).toEqual(filled(0xaa, 50));
      ring.answer(ids[1]!, 7, 2);
      expect(ring.take(1), ring.queue.broken?.detail).toEqual([[ids[1], 7]]);
      expect(ring.mapping.statistics.live).toBe(ring.idle.live);
    }
  });

  it.each([0, 0xff])(
    'D20 a table and the descriptor of it overwritten in flight with bytes of %d changes nothing',
    (byte) => {
      const ring = open({ indirect: 4 });
      const id = ring.send(1, 2);
      expect([ring.device.pop(ring.chain), ring.fill(1, 0xaa)]).toEqual([true, true]);
      const [descriptor] = ring.areas();
      const { u8, u32 } = ring.memory;
      const table = ring.space.borrow(u32[descriptor / 4]!, u32[descriptor / 4 + 1]!, 48, 'write');
      u8.fill(byte, table, table + 48);
      u8.fill(byte, descriptor, descriptor + 8 * 16);
      ring.answer(id, 50, 1);
      expect(ring.take(1), ring.queue.broken?.detail).toEqual([[id, 50]]);
      expect(ring.received()).toEqual(filled(0xaa, 50));
      expect(ring.mapping.statistics.live).toBe(ring.idle.live);
    },
  );

  it('D43 does nothing in a storm of interrupts over an empty ring: before the first buffer, with one out, after a reset', () => {
    const ring = open();
    const storm = (): void => {
      for (let i = 0; i < 1000; i++) expect(ring.take()).toEqual([]);
    };
    storm();
    ring.answer(ring.send(), 1, 2);
    expect(ring.take()).toHaveLength(1);
    ring.add();
    storm();
    ring.queue.publish();
    storm();
    expect(ring.queue.outstanding).toBe(1);
    expect(ring.queue.reset()).toHaveLength(1);
    storm();
    expect([ring.queue.broken, ring.queue.outstanding]).toEqual([undefined, 0]);
  });

  it('D43 gives an answer that comes after the reset to no request', () => {
    const ring = open();
    const id = ring.send();
    ring.queue.reset();
    ring.answer(id, SEGMENT, 2);
    expect(ring.take()).toEqual([]);
    expect(ring.queue.broken).toBeDefined();
    expect(ring.received()).toEqual(filled(0, 0));
  });

  it.each(layout === 'split' ? [0, 3, 65535, 65536] : [0, 32769, 65535, 65536])(
    'D44 refuses a queue of %d entries, and keeps nothing of it',
    (size) => {
      const memory = new GuestMemory(new SharedArrayBuffer(1 << 20));
      const mapping = new DirectDmaMapping(memory, { path: 'physical', capacity: 4 });
      expect(() => openVirtqueue(layout, memory, mapping, ringOptions({ size }))).toThrow(RangeError);
      expect([memory.allocated, mapping.statistics.live]).toEqual([0, 0]);
    },
  );

  it('D45 M7 gives nothing back while a device that was given up may still use it, and everything once after the reset', () => {
    const ring = open({ indirect: 4 });
    const ids = [ring.send(), ring.send(1, 0)];
    expect(ring.device.pop(ring.chain)).toBe(true);
    const held = { live: ring.mapping.statistics.live, allocated: ring.memory.allocated };
    ring.queue.markBroken({ code: 'marked-by-owner', detail: 'the reset was not confirmed' });
    ring.answer(ids[0]!, SEGMENT, 1);
    for (let i = 0; i < 10; i++) {
      expect([ring.take(), ring.add(), ring.queue.publish()]).toEqual([[], QUEUE_BROKEN, false]);
    }
    expect({ live: ring.mapping.statistics.live, allocated: ring.memory.allocated }).toEqual(held);
    expect(ring.fill(1, 0xaa)).toBe(true);
    expect(ring.queue.reset().toSorted((a, b) => a - b)).toEqual(ids.toSorted((a, b) => a - b));
    expect(ring.queue.reset()).toEqual([]);
    expect(ring.fill(1, 0xaa)).toBe(false);
    expect(ring.received()).toEqual(filled(0, 0));
    expect({ live: ring.mapping.statistics.live, allocated: ring.memory.allocated }).toEqual(ring.idle);
  });

  it('D46 copies what came back once, no more than was written, and never looks at the pool again', () => {
    const ring = open({ isBounced: true });
    const id = ring.send(1, 1);
    ring.device.pop(ring.chain);
    ring.fill(1, 0xaa, 2048);
    const before = ring.mapping.statistics.bytesBounced;
    ring.answer(id, 40, 2);
    expect(ring.take()).toEqual([[id, 40]]);
    expect(ring.mapping.statistics.bytesBounced - before).toBe(40);
    ring.fill(1, 0xee, 2048);
    expect(ring.received()).toEqual(filled(0xaa, 40));
  });
});

describe('the driver of a packed ring against a hostile device', () => {
  it('D37 skips a list of its own length, whatever the device makes of the slots behind its first', () => {
    for (const flags of [0, 0x8081, 0x8083, 0x80, 0xffff]) {
      const ring = new LayoutRing('packed');
      const [long, short] = [ring.send(1, 2), ring.send(0, 1)];
      const [descriptor] = ring.areas();
      for (const slot of [1, 2]) {
        const at = descriptor + slot * 16;
        ring.memory.u8.fill(0xee, at, at + 14);
        ring.memory.u16[at / 2 + 7] = flags;
      }
      ring.answer(long, SEGMENT, 3);
      ring.answer(short, 1, 1);
      expect(ring.take()).toEqual([
        [long, SEGMENT],
        [short, 1],
      ]);
      expect([ring.queue.outstanding, ring.mapping.statistics.live]).toEqual([0, ring.idle.live]);
    }
  });
});
