import {
  DescriptorChain,
  DirectDmaMapping,
  FaultLog,
  GuestMemory,
  PackedDeviceQueue,
  PackedVirtqueue,
  PHYSICAL_ADDRESS_SPACE,
  QUEUE_FULL,
  ScatterList,
  UsedBatch,
} from '@virtio-platform/core';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const BUFFERS = 0x8_0000;

interface Request {
  readonly number: number;
  readonly readable: number;
  readonly writable: number;
}

/** Both ends of a packed ring over physical addresses, against a plain model of which requests are where. */
class PackedLoop {
  readonly memory = new GuestMemory(new SharedArrayBuffer(0x10_0000));
  readonly mapping = new DirectDmaMapping(this.memory, { path: 'physical', capacity: 256 });
  readonly queue: PackedVirtqueue;
  readonly device: PackedDeviceQueue;
  readonly size: number;
  readonly #list = new ScatterList(8);
  readonly #chain: DescriptorChain;
  readonly #batch = new UsedBatch(3);
  readonly #added: Request[] = [];
  readonly #available: Request[] = [];
  readonly #popped = new Map<number, Request>();
  readonly #pushed: { id: number; written: number }[] = [];
  readonly #outstanding = new Map<number, Request>();
  #used: { id: number; written: number }[] = [];
  #next = 0;

  constructor(size: number, indirect: number, eventIdx: boolean) {
    this.size = size;
    this.queue = new PackedVirtqueue(this.memory, this.mapping, {
      index: 0,
      size,
      indirect,
      eventIdx,
      usedLength: 'strict',
    });
    const space = PHYSICAL_ADDRESS_SPACE.open(this.memory, new FaultLog(), undefined);
    const { addresses } = this.queue;
    this.device = new PackedDeviceQueue(space, { addresses, indirect: indirect > 0, eventIdx });
    this.#chain = new DescriptorChain(size);
  }

  add(readable: number, writable: number): void {
    const request = { number: this.#next, readable, writable };
    this.#list.clear();
    for (let i = 0; i < readable; i++) this.#list.addReadable(addressOf(request, i), i + 1);
    for (let i = 0; i < writable; i++) this.#list.addWritable(addressOf(request, readable + i), readable + i + 1);
    const id = this.queue.add(this.#list);
    if (id === QUEUE_FULL) return;
    expect(this.#outstanding.has(id)).toBe(false);
    this.#next++;
    this.#outstanding.set(id, request);
    this.#added.push(request);
  }

  publish(): void {
    this.queue.publish();
    this.#available.push(...this.#added.splice(0));
  }

  pop(): void {
    const expected = this.#available.shift();
    expect(this.device.pop(this.#chain)).toBe(expected !== undefined);
    if (expected === undefined) return;
    const { readable, writable } = expected;
    const chain = this.#chain;
    expect([chain.readable, chain.count]).toEqual([readable, readable + writable]);
    for (let i = 0; i < chain.count; i++) {
      expect([chain.low[i], chain.high[i], chain.length[i]]).toEqual([addressOf(expected, i), 0, i + 1]);
    }
    expect(this.#outstanding.get(chain.head)).toBe(expected);
    this.#popped.set(chain.head, expected);
  }

  /** Returns one of the buffers in flight: `choice` of them, so that they come back in any order. */
  push(choice: number): void {
    const ids = [...this.#popped.keys()];
    const id = ids[choice % ids.length];
    if (id === undefined) return;
    const { readable, writable } = this.#popped.get(id)!;
    let room = 0;
    for (let i = 0; i < writable; i++) room += readable + i + 1;
    const written = choice % (room + 1);
    this.device.push(id, written);
    this.#popped.delete(id);
    this.#pushed.push({ id, written });
  }

  flush(): void {
    this.device.flush();
    this.#used.push(...this.#pushed.splice(0));
  }

  take(): void {
    const count = this.queue.takeUsed(this.#batch);
    const expected = this.#used.splice(0, 3);
    const taken = Array.from({ length: count }, (_, i) => ({
      id: this.#batch.ids[i],
      written: this.#batch.written[i],
    }));
    expect(taken).toEqual(expected);
    for (const { id } of expected) this.#outstanding.delete(id);
    expect(this.queue.outstanding).toBe(this.#outstanding.size);
  }

  finish(): void {
    this.publish();
    while (this.#available.length > 0) this.pop();
    while (this.#popped.size > 0) this.push(1);
    this.flush();
    while (this.#used.length > 0) this.take();
    expect([this.queue.broken, this.device.broken]).toEqual([undefined, undefined]);
    expect([this.queue.outstanding, this.device.inFlight]).toEqual([0, 0]);
    this.queue.dispose();
    expect(this.mapping.statistics.live).toBe(0);
    expect(this.memory.allocated).toBe(0);
  }
}

function addressOf(request: Request, segment: number): number {
  return BUFFERS + (request.number % 4096) * 64 + segment;
}

const step = fc.oneof(
  fc.record({ kind: fc.constant('add' as const), readable: fc.nat(3), writable: fc.nat(3) }),
  fc.record({ kind: fc.constantFrom('publish', 'pop', 'flush', 'take' as const) }),
  fc.record({ kind: fc.constant('push' as const), choice: fc.nat(100) }),
);

describe('the packed ring', () => {
  it('brings back every buffer, in any order, at any size', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.constantFrom(0, 4),
        fc.boolean(),
        fc.array(step, { maxLength: 200 }),
        (size, indirect, eventIdx, steps) => {
          const loop = new PackedLoop(size, indirect, eventIdx);
          for (const one of steps) {
            if (one.kind === 'add') {
              const segments = one.readable + one.writable;
              if (segments > 0 && segments <= size) loop.add(one.readable, one.writable);
            } else if (one.kind === 'push') loop.push(one.choice);
            else loop[one.kind]();
          }
          loop.finish();
        },
      ),
      { numRuns: 300 },
    );
  });

  it.each([1, 3, 4, 7, 256])('R-01 toggles the wrap counters for lists of exactly the queue, size %d', (size) => {
    const loop = new PackedLoop(Math.min(size, 8), 0, true);
    for (let lap = 0; lap < 5; lap++) {
      loop.add(Math.min(size, 8) > 1 ? 1 : 0, Math.max(1, Math.min(size, 8) - 1));
      loop.publish();
      loop.pop();
      loop.push(0);
      loop.flush();
      loop.take();
    }
    loop.finish();
  });

  it('shows nothing of a batch before it is published', () => {
    const loop = new PackedLoop(8, 0, false);
    loop.add(1, 1);
    loop.add(2, 0);
    loop.pop();
    loop.publish();
    loop.pop();
    loop.pop();
    loop.finish();
  });
});
