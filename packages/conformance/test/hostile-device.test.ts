import {
  DescriptorChain,
  openDescriptorTable,
  QUEUE_BROKEN,
  SplitDeviceQueue,
  UsedBatch,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_WRITE,
  type BrokenCode,
} from '@virtio-platform/core/queue';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { POISON } from '@virtio-platform/conformance';
import { HostileRing, SEGMENT_BYTES } from './hostile-ring.ts';

/** Takes what came back and expects the queue to be broken for that reason, for good, until it is reset. */
function expectBroken(ring: HostileRing, code: BrokenCode, outstanding: number): void {
  expect(ring.take()).toEqual([]);
  expect(ring.queue.broken?.code).toBe(code);
  expect(ring.queue.outstanding).toBe(outstanding);
  expect(ring.add()).toBe(QUEUE_BROKEN);
  expect(ring.queue.publish()).toBe(false);
  expect(ring.take()).toEqual([]);
  expect(ring.received().every((byte) => byte === 0)).toBe(true);
  expect(ring.queue.reset()).toHaveLength(outstanding);
  expect(ring.queue.broken).toBeUndefined();
  expectNothingLeft(ring);
}

/** Disposes the queue and expects every mapping and all memory but the buffers back. */
function expectNothingLeft(ring: HostileRing): void {
  ring.queue.dispose();
  ring.memory.free(ring.buffer);
  expect(ring.mapping.statistics.live).toBe(0);
  expect(ring.memory.allocated).toBe(0);
}

describe('SplitDeviceQueue over an address space that takes things back', () => {
  it('looks for its rings anew, and breaks with a fault when they are gone', () => {
    const ring = new HostileRing();
    const device = new SplitDeviceQueue(ring.space, {
      addresses: ring.queue.addresses,
      eventIdx: false,
      indirect: false,
      byteOrder: 'little',
    });
    const chain = new DescriptorChain(8);
    ring.send();
    ring.send();
    expect(device.pop(chain)).toBe(true);
    ring.queue.dispose();
    expect(device.pop(chain)).toBe(false);
    expect(device.broken?.code).toBe('ring-unreachable');
    expect(ring.space.faults.entries[0]).toMatchObject({ access: 'read', cause: 'unmapped' });
    device.push(chain.head, 0);
    expect(device.flush()).toBe(false);
    expect(device.inFlight).toBe(0);
  });
});

describe('SplitVirtqueue against a hostile device', () => {
  it.each([8, 9, 0xffff, 0x7fff_ffff, 0xffff_ffff])('D01 breaks on used id %d', (id) => {
    const ring = new HostileRing();
    ring.send();
    ring.answer([id, 0]);
    expectBroken(ring, 'used-id-out-of-range', 1);
  });

  it('D02 breaks on a used id whose low 16 bits are a live head', () => {
    const ring = new HostileRing();
    const id = ring.send();
    ring.answer([0x1_0000 + id, 0]);
    expectBroken(ring, 'used-id-out-of-range', 1);
  });

  it('D03 breaks on an id that was never issued', () => {
    const ring = new HostileRing();
    ring.send();
    ring.answer([7, 0]);
    expectBroken(ring, 'used-id-not-outstanding', 1);
  });

  it('D03 breaks on an id that was added and not made available yet', () => {
    const ring = new HostileRing();
    ring.send();
    const hidden = ring.add();
    ring.answer([hidden, 0]);
    expectBroken(ring, 'used-id-not-outstanding', 2);
  });

  it('D04 breaks on an id that was already completed', () => {
    const ring = new HostileRing();
    const [first] = [ring.send(), ring.send()];
    ring.answer([first, 0]);
    expect(ring.take()).toEqual([[first, 0]]);
    ring.answer([first, 0]);
    expectBroken(ring, 'used-id-not-outstanding', 1);
  });

  it('D04 completes once what is named twice in one go', () => {
    const ring = new HostileRing();
    const [first] = [ring.send(), ring.send()];
    ring.answer([first, 0], [first, 0]);
    expect(ring.take()).toEqual([[first, 0]]);
    expect(ring.queue.broken?.code).toBe('used-id-not-outstanding');
    expect(ring.queue.outstanding).toBe(1);
  });

  it('D05 breaks on a descriptor in the middle of a chain', () => {
    const ring = new HostileRing();
    const id = ring.send(2, 1);
    const middle = ring.descriptors.next(id);
    expect(middle).not.toBe(id);
    ring.answer([middle, 0]);
    expectBroken(ring, 'used-id-not-outstanding', 1);
  });

  it('D06 takes a head that was used again for the request that has it', () => {
    const ring = new HostileRing({ size: 2 });
    const first = ring.send();
    ring.answer([first, 5]);
    ring.take();
    expect(ring.send()).toBe(first);
    ring.answer([first, 6]);
    expect(ring.take()).toEqual([[first, 6]]);
  });

  it.each([2, 8, 9, 0x8000, 0xffff])('D07 breaks when used.idx is %d with one buffer outstanding', (idx) => {
    const ring = new HostileRing();
    ring.send();
    ring.ring.publishUsedIdx(idx);
    expectBroken(ring, 'used-index-out-of-range', 1);
  });

  it('D07 breaks when buffers are completed that were only added', () => {
    const ring = new HostileRing();
    const id = ring.add();
    ring.answer([id, 0]);
    expectBroken(ring, 'used-index-out-of-range', 1);
  });

  it('D08 breaks when used.idx goes backwards', () => {
    const ring = new HostileRing();
    for (let i = 0; i < 3; i++) {
      const id = ring.send();
      ring.answer([id, 0]);
      ring.take();
    }
    ring.send();
    ring.ring.publishUsedIdx(1);
    expectBroken(ring, 'used-index-out-of-range', 1);
  });

  it('D08 does no more work in one call than the batch is long', () => {
    const ring = new HostileRing();
    const ids = [ring.send(1, 0), ring.send(1, 0), ring.send(1, 0)];
    ring.answer(...ids.map((id): [number, number] => [id, 0]));
    const batch = new UsedBatch(2);
    expect(ring.queue.takeUsed(batch)).toBe(2);
    expect(ring.queue.takeUsed(batch)).toBe(1);
    expect(ring.queue.takeUsed(batch)).toBe(0);
    expect(ring.queue.takeUsed(new UsedBatch(0))).toBe(0);
  });

  it.each([
    ['D09', 1, 1, SEGMENT_BYTES + 1],
    ['D10', 1, 0, 1],
    ['D11', 1, 1, 2 * SEGMENT_BYTES],
    ['D12', 1, 1, 0xffff_ffff],
  ])(
    '%s breaks when %d readable and %d writable segments are said to have %d bytes written',
    (_case, readable, writable, length) => {
      const ring = new HostileRing();
      const id = ring.send(readable, writable);
      ring.answer([id, length]);
      expectBroken(ring, 'used-length-too-large', 1);
    },
  );

  it('D13 shows the caller the bytes that the device vouches for and no others', () => {
    const ring = new HostileRing();
    const id = ring.send();
    expect(ring.deviceWrites(ring.descriptors.next(id), 0xaa, SEGMENT_BYTES)).toBe(true);
    ring.answer([id, 10]);
    expect(ring.take()).toEqual([[id, 10]]);
    expect(ring.received()).toEqual(new Uint8Array(SEGMENT_BYTES).fill(0xaa, 0, 10));
  });

  it.each([
    ['clamp', 0xffff_ffff, SEGMENT_BYTES],
    ['clamp', 7, 7],
    ['ignore', 0xffff_ffff, SEGMENT_BYTES],
    ['ignore', 0, SEGMENT_BYTES],
  ] as const)('D14 with policy %s takes %d bytes for %d and does not break', (usedLength, length, written) => {
    const ring = new HostileRing({ usedLength });
    const id = ring.send();
    ring.answer([id, length]);
    expect(ring.take()).toEqual([[id, written]]);
    expect(ring.queue.broken).toBeUndefined();
  });

  const rewrites: [string, (ring: HostileRing, head: number, tail: number) => void][] = [
    [
      'D15 the address',
      ({ descriptors: d }, head) => d.write(head, 0x1000, 0, SEGMENT_BYTES, VIRTQ_DESC_F_NEXT, d.next(head)),
    ],
    [
      'D16 the length',
      ({ descriptors: d }, _head, tail) => d.write(tail, d.low(tail), d.high(tail), 0xffff_ffff, VIRTQ_DESC_F_WRITE, 0),
    ],
    [
      'D17 NEXT on the tail',
      ({ descriptors: d }, _head, tail) => d.write(tail, d.low(tail), d.high(tail), SEGMENT_BYTES, 3, 5),
    ],
    [
      'D17 NEXT off the head',
      ({ descriptors: d }, head) => d.write(head, d.low(head), d.high(head), SEGMENT_BYTES, 0, 0),
    ],
    [
      'D18 next into a loop',
      ({ descriptors: d }, head) => d.write(head, d.low(head), d.high(head), SEGMENT_BYTES, 1, head),
    ],
    [
      'D18 next beyond the queue',
      ({ descriptors: d }, head) => d.write(head, d.low(head), d.high(head), SEGMENT_BYTES, 1, 0xffff),
    ],
    [
      'D19 WRITE on the readable part',
      ({ descriptors: d }, head) => d.write(head, d.low(head), d.high(head), SEGMENT_BYTES, 3, d.next(head)),
    ],
    [
      'D19 WRITE off the writable part',
      ({ descriptors: d }, _head, tail) => d.write(tail, d.low(tail), d.high(tail), SEGMENT_BYTES, 0, 0),
    ],
    ['D21 avail.idx', ({ ring }) => ring.publishAvailIdx(0x5555)],
    [
      'D21 the available entries',
      ({ ring }) => Array.from({ length: 8 }, (_, slot) => ring.writeAvailEntry(slot, 0xeeee)),
    ],
    ['D21 avail.flags', ({ ring }) => ring.writeAvailFlags(0xffff)],
    ['D21 used_event', ({ ring }) => ring.writeUsedEvent(0x7777)],
    ["everything that is the driver's", (ring) => ring.scribble(0xff)],
  ];

  it.each(rewrites)('%s rewritten by the device changes nothing for the driver', (_what, rewrite) => {
    const ring = new HostileRing();
    for (let round = 0; round < 20; round++) {
      const live = ring.mapping.statistics.live;
      const head = ring.send();
      const tail = ring.descriptors.next(head);
      ring.deviceWrites(tail, round + 1, 50);
      rewrite(ring, head, tail);
      ring.answer([head, 50]);
      expect(ring.take()).toEqual([[head, 50]]);
      expect(ring.received()).toEqual(new Uint8Array(SEGMENT_BYTES).fill(round + 1, 0, 50));
      ring.memory.u8.fill(0, ring.buffer, ring.buffer + 8192);
      expect(ring.mapping.statistics.live).toBe(live);
    }
    expect(ring.space.faults.entries).toEqual([]);
    expectNothingLeft(ring);
  });

  it('D20 an indirect table and the descriptor of it rewritten by the device change nothing for the driver', () => {
    const ring = new HostileRing({ indirect: 4 });
    for (let round = 0; round < 20; round++) {
      const head = ring.send(1, 2);
      expect(ring.descriptors.flags(head)).toBe(VIRTQ_DESC_F_INDIRECT);
      const at = ring.space.borrow(ring.descriptors.low(head), ring.descriptors.high(head), 48, 'write');
      const table = openDescriptorTable('little', ring.memory, at);
      ring.space.write(table.low(1), table.high(1), new Uint8Array(SEGMENT_BYTES).fill(round + 1), 0, SEGMENT_BYTES);
      ring.memory.u8.fill(0xff, at, at + 64);
      ring.scribble(0xee);
      ring.answer([head, SEGMENT_BYTES]);
      expect(ring.take()).toEqual([[head, SEGMENT_BYTES]]);
      expect(ring.received()).toEqual(new Uint8Array(SEGMENT_BYTES).fill(round + 1));
    }
    expectNothingLeft(ring);
  });

  it('D22 takes a notification to be unwanted only by the one bit that says so', () => {
    const ring = new HostileRing();
    ring.ring.writeUsedFlags(0xfffe);
    ring.add();
    expect(ring.queue.publish()).toBe(true);
    ring.ring.writeUsedFlags(0xffff);
    ring.add();
    expect(ring.queue.publish()).toBe(false);
  });

  it('D23 loses notifications and nothing else when avail_event is poisoned', () => {
    const ring = new HostileRing({ eventIdx: true });
    ring.ring.writeAvailEvent(0x8000);
    const id = ring.send();
    ring.answer([id, 0]);
    expect(ring.take()).toEqual([[id, 0]]);
    expect(ring.queue.broken).toBeUndefined();
  });

  it("keeps every request right while all that is the driver's is scribbled over after each pop", () => {
    const request = fc.record({
      readable: fc.nat(2),
      writable: fc.integer({ min: 1, max: 2 }),
      share: fc.nat(4),
      garbage: fc.nat(255),
    });
    fc.assert(
      fc.property(
        fc.constantFrom(0, 3),
        fc.boolean(),
        fc.array(request, { maxLength: 40 }),
        (indirect, eventIdx, requests) => {
          const ring = new HostileRing({ indirect, eventIdx });
          const { addresses } = ring.queue;
          const device = new SplitDeviceQueue(ring.space, {
            addresses,
            eventIdx,
            indirect: indirect > 0,
            byteOrder: 'little',
          });
          const chain = new DescriptorChain(8);
          for (const [serial, { readable, writable, share, garbage }] of requests.entries()) {
            const fill = serial % 250;
            const id = ring.send(readable, writable);
            expect(device.pop(chain), device.broken?.detail).toBe(true);
            ring.scribble(garbage);
            // The device believes in its own copy of avail.idx only when it looks again; the driver's next publish
            // restores it.
            const written = Math.floor((chain.writableBytes * share) / 4);
            const first = chain.readable;
            const here = Math.min(written, SEGMENT_BYTES);
            const bytes = new Uint8Array(SEGMENT_BYTES).fill(fill);
            if (here > 0) ring.space.write(chain.low[first]!, chain.high[first]!, bytes, 0, here);
            ring.memory.u8.fill(0, ring.buffer + 4096, ring.buffer + 8192);
            device.push(chain.head, here);
            device.flush();
            expect(ring.take()).toEqual([[id, here]]);
            expect(ring.received()).toEqual(new Uint8Array(SEGMENT_BYTES).fill(fill, 0, here));
          }
          expect(ring.space.faults.entries).toEqual([]);
          expectNothingLeft(ring);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('never throws, never completes what is not outstanding and leaks nothing, whatever the used ring says', () => {
    const element = fc.tuple(
      fc.oneof(fc.nat(9), fc.nat(0xffff_ffff)),
      fc.oneof(fc.nat(2 * SEGMENT_BYTES), fc.nat(0xffff_ffff)),
    );
    const step = fc.record({
      sends: fc.nat(3),
      elements: fc.array(element, { maxLength: 4 }),
      idx: fc.option(fc.nat(0xffff), { nil: undefined, freq: 20 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const ring = new HostileRing();
        const outstanding = new Set<number>();
        for (const { sends, elements, idx } of steps) {
          for (let i = 0; i < sends; i++) {
            const id = ring.send();
            if (id >= 0) outstanding.add(id);
          }
          ring.answer(...elements);
          if (idx !== undefined) ring.ring.publishUsedIdx(idx);
          for (const [id, written] of ring.take()) {
            expect(outstanding.delete(id)).toBe(true);
            expect(written).toBeLessThanOrEqual(SEGMENT_BYTES);
          }
          expect(ring.queue.outstanding).toBe(outstanding.size);
        }
        expect(ring.queue.reset().toSorted((a, b) => a - b)).toEqual([...outstanding].toSorted((a, b) => a - b));
        expectNothingLeft(ring);
      }),
      { numRuns: 300 },
    );
  });

  it('D45 gives nothing of a buffer back before its owner resets it', () => {
    const ring = new HostileRing();
    const head = ring.send();
    ring.queue.markBroken({ code: 'marked-by-owner', detail: 'the device does not answer' });
    expect(ring.take()).toEqual([]);
    expect(ring.deviceWrites(ring.descriptors.next(head), 1, 1)).toBe(true);
    ring.queue.reset();
    expect(ring.deviceWrites(ring.descriptors.next(head), 1, 1)).toBe(false);
    expect(ring.received().includes(POISON)).toBe(false);
    expectNothingLeft(ring);
  });
});
