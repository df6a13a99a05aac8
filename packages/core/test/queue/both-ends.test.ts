import { FaultLog, PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import {
  DescriptorChain,
  openDeviceQueue,
  openVirtqueue,
  QUEUE_FULL,
  ScatterList,
  UsedBatch,
  type DeviceQueue,
  type QueueLayout,
  type Virtqueue,
} from '@virtio-platform/core/queue';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

const BUFFERS = 0x8_0000;

interface Request {
  readonly number: number;
  readonly readable: number;
  readonly writable: number;
}

interface LoopOptions {
  readonly layout: QueueLayout;
  readonly size: number;
  readonly indirect: number;
  readonly eventIdx: boolean;
  readonly inOrder: boolean;
}

/** Both ends of a ring over physical addresses, against a plain model of which requests are where. */
class RingLoop {
  readonly memory = new GuestMemory(new SharedArrayBuffer(0x10_0000));
  readonly mapping = new DirectDmaMapping(this.memory, { path: 'physical', capacity: 256 });
  readonly queue: Virtqueue;
  readonly device: DeviceQueue;
  readonly #inOrder: boolean;
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

  constructor({ layout, size, ...features }: LoopOptions) {
    this.#inOrder = features.inOrder;
    const shared = { ...features, byteOrder: 'little' } as const;
    const options = { ...shared, index: 0, size, legacyLayout: false, usedLength: 'strict' } as const;
    this.queue = openVirtqueue(layout, this.memory, this.mapping, options);
    const space = PHYSICAL_ADDRESS_SPACE.open(this.memory, new FaultLog(), undefined);
    const { addresses } = this.queue;
    this.device = openDeviceQueue(layout, space, { ...shared, addresses, indirect: features.indirect > 0 });
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

  /** Returns one of the buffers in flight: `choice` of them, so that they come back in any order, or the first with IN_ORDER. */
  push(choice: number): void {
    const ids = [...this.#popped.keys()];
    const id = ids[this.#inOrder ? 0 : choice % ids.length];
    if (id === undefined) return;
    const { readable, writable } = this.#popped.get(id)!;
    let room = 0;
    for (let i = 0; i < writable; i++) room += readable + i + 1;
    // Often all of it: only then may one used element stand for several buffers.
    const written = choice % 2 === 0 ? room : choice % (room + 1);
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

const LAYOUTS = ['split', 'packed'] as const;

function play(options: LoopOptions, steps: readonly Step[]): RingLoop {
  const loop = new RingLoop(options);
  for (const one of steps) {
    if (one.kind === 'add') {
      const segments = one.readable + one.writable;
      if (segments > 0 && segments <= options.size) loop.add(one.readable, one.writable);
    } else if (one.kind === 'push') loop.push(one.choice);
    else loop[one.kind]();
  }
  return loop;
}

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

describe.each(LAYOUTS)('both ends of the %s ring', (layout) => {
  it('bring back every buffer with every feature, in any order that they may, at any size', () => {
    const sizes = layout === 'split' ? fc.constantFrom(1, 2, 4, 8) : fc.integer({ min: 1, max: 9 });
    const options = fc.record({
      layout: fc.constant(layout),
      size: sizes,
      indirect: fc.constantFrom(0, 4),
      eventIdx: fc.boolean(),
      inOrder: fc.boolean(),
    });
    fc.assert(
      fc.property(options, fc.array(step, { maxLength: 200 }), (chosen, steps) => {
        play(chosen, steps).finish();
      }),
      { numRuns: 400 },
    );
    expect.hasAssertions();
  });

  it.each([1, 2, 4, 8])('R-01 go round with lists of exactly the queue, size %d', (size) => {
    const loop = new RingLoop({ layout, size, indirect: 0, eventIdx: true, inOrder: false });
    for (let lap = 0; lap < 5; lap++) {
      loop.add(size > 1 ? 1 : 0, Math.max(1, size - 1));
      loop.publish();
      loop.pop();
      loop.push(0);
      loop.flush();
      loop.take();
    }
    loop.finish();
    expect.hasAssertions();
  });

  it('go round, lap after lap, one buffer at a time', () => {
    const loop = new RingLoop({ layout, size: 2, indirect: 0, eventIdx: true, inOrder: true });
    for (let lap = 0; lap < 2000; lap++) {
      loop.add(0, 1);
      loop.publish();
      loop.pop();
      loop.push(0);
      loop.flush();
      loop.take();
    }
    loop.finish();
    expect.hasAssertions();
  });

  it('show nothing of a batch before it is published', () => {
    const loop = new RingLoop({ layout, size: 8, indirect: 0, eventIdx: false, inOrder: false });
    loop.add(1, 1);
    loop.add(2, 0);
    loop.pop();
    loop.publish();
    loop.pop();
    loop.pop();
    loop.finish();
    expect.hasAssertions();
  });

  it('refuse to return buffers out of order once IN_ORDER was negotiated', () => {
    const loop = new RingLoop({ layout, size: 4, indirect: 0, eventIdx: false, inOrder: true });
    loop.add(0, 1);
    loop.add(0, 1);
    loop.publish();
    loop.pop();
    loop.pop();
    expect(() => loop.device.push(1, 0)).toThrow(RangeError);
  });
});
