import { DMA_NO_SPACE } from '@virtio-platform/core/dma';
import { QUEUE_FULL, ScatterList } from '@virtio-platform/core/queue';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BUFFERS, RingEnds, type RingEndsOptions } from './ring-ends.ts';

interface Request {
  readonly number: number;
  readonly readable: number;
  readonly writable: number;
}

interface Returned {
  readonly id: number;
  readonly written: number;
}

/** Both ends of a ring, checked against a plain model of the place of each request. */
class RingLoop {
  readonly ends: RingEnds;
  readonly #list = new ScatterList(8);
  readonly #added: Request[] = [];
  readonly #available: Request[] = [];
  readonly #popped = new Map<number, Request>();
  readonly #pushed: Returned[] = [];
  readonly #outstanding = new Map<number, Request>();
  readonly #used: Returned[] = [];
  #next = 0;

  constructor(options: RingEndsOptions) {
    this.ends = new RingEnds(options);
  }

  add(readable: number, writable: number): void {
    const request = { number: this.#next, readable, writable };
    this.#list.clear();
    for (let i = 0; i < readable; i++) this.#list.addReadable(addressOf(request, i), i + 1);
    for (let i = 0; i < writable; i++) this.#list.addWritable(addressOf(request, readable + i), readable + i + 1);
    const id = this.ends.queue.add(this.#list);
    if (id === QUEUE_FULL) return;
    expect(this.#outstanding.has(id)).toBe(false);
    this.#next++;
    this.#outstanding.set(id, request);
    this.#added.push(request);
  }

  publish(): void {
    this.ends.queue.publish();
    this.#available.push(...this.#added.splice(0));
  }

  pop(): void {
    const expected = this.#available.shift();
    const { chain, device } = this.ends;
    expect(device.pop(chain)).toBe(expected !== undefined);
    if (expected === undefined) return;
    const { readable, writable } = expected;
    expect([chain.readable, chain.count]).toEqual([readable, readable + writable]);
    for (let i = 0; i < chain.count; i++) {
      expect([chain.low[i], chain.high[i], chain.length[i]]).toEqual([addressOf(expected, i), 0, i + 1]);
    }
    expect(this.#outstanding.get(chain.head)).toBe(expected);
    this.#popped.set(chain.head, expected);
  }

  /** Returns one of the buffers in flight: the one that `choice` selects, or the first with IN_ORDER. */
  push(choice: number): void {
    const ids = [...this.#popped.keys()];
    const id = ids[this.ends.driverOptions.inOrder === true ? 0 : choice % ids.length];
    if (id === undefined) return;
    const { readable, writable } = this.#popped.get(id)!;
    let most = 0;
    for (let i = 0; i < writable; i++) most += readable + i + 1;
    // Often all of them: only then may one used entry stand for several buffers.
    const written = choice % 2 === 0 ? most : choice % (most + 1);
    this.ends.device.push(id, written);
    this.#popped.delete(id);
    this.#pushed.push({ id, written });
  }

  flush(): void {
    this.ends.device.flush();
    this.#used.push(...this.#pushed.splice(0));
  }

  take(): void {
    const expected = this.#used.splice(0, 3);
    expect(this.ends.take(3)).toEqual(expected.map(({ id, written }) => [id, written]));
    for (const { id } of expected) this.#outstanding.delete(id);
    expect(this.ends.queue.outstanding).toBe(this.#outstanding.size);
  }

  finish(): void {
    this.publish();
    while (this.#available.length > 0) this.pop();
    while (this.#popped.size > 0) this.push(1);
    this.flush();
    while (this.#used.length > 0) this.take();
    const { queue, device, mapping, memory } = this.ends;
    expect([queue.broken, device.broken]).toEqual([undefined, undefined]);
    expect([queue.outstanding, device.inFlight]).toEqual([0, 0]);
    queue.dispose();
    expect([mapping.statistics.live, memory.allocated]).toEqual([0, 0]);
  }

  /** One buffer from `add` to `take`. */
  goRound(readable: number, writable: number): void {
    this.add(readable, writable);
    this.publish();
    this.pop();
    this.push(0);
    this.flush();
    this.take();
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

function play(options: RingEndsOptions & { readonly size: number }, steps: readonly Step[]): RingLoop {
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
  it('return every buffer with every combination of features, in any order that these allow, at any size', () => {
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
    const loop = new RingLoop({ layout, size, eventIdx: true });
    for (let lap = 0; lap < 5; lap++) loop.goRound(size > 1 ? 1 : 0, Math.max(1, size - 1));
    loop.finish();
    expect.hasAssertions();
  });

  it('go round, lap after lap, one buffer at a time', () => {
    const loop = new RingLoop({ layout, size: 2, eventIdx: true, inOrder: true });
    for (let lap = 0; lap < 2000; lap++) loop.goRound(0, 1);
    loop.finish();
    expect.hasAssertions();
  });

  it('show nothing of a batch before it is published', () => {
    const loop = new RingLoop({ layout });
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
    const ends = new RingEnds({ layout, inOrder: true });
    const [, second] = ends.give(2);
    expect(() => ends.device.push(second!, 0)).toThrow(RangeError);
  });

  it('refuse to return a buffer twice', () => {
    const ends = new RingEnds({ layout });
    const [id] = ends.give(1);
    ends.use(id!, 0);
    expect(() => ends.use(id!, 0)).toThrow(RangeError);
  });
});

describe.each(['split', 'packed'] as const)('a %s queue', (layout) => {
  it.each([false, true])('works again after a reset, whatever broke it (IN_ORDER %s)', (inOrder) => {
    const ends = new RingEnds({ layout, inOrder });
    for (let lap = 0; lap < 3; lap++) {
      const [id] = ends.give(1);
      // More than the buffer has room for.
      ends.use(id!, 17);
      expect(ends.take()).toEqual([]);
      expect(ends.queue.broken?.code).toBe('used-length-too-large');
      expect(ends.queue.reset()).toEqual([id]);
      ends.device = ends.openDevice();
      const ids = ends.give(3);
      for (const each of ids) ends.use(each, 16);
      expect(ends.take()).toEqual(ids.map((each) => [each, 16]));
      expect(ends.queue.broken).toBeUndefined();
      ends.queue.reset();
      ends.device = ends.openDevice();
    }
  });

  it.each([0, 4])('writes no descriptor of a request of which a part cannot be mapped (tables of %d)', (indirect) => {
    const ends = new RingEnds({ layout, indirect, capacity: 3 });
    expect(ends.add(1, 1)).toBeGreaterThanOrEqual(0);
    const { ring, tables } = ends.queue.memory;
    const bytes = (): number[] =>
      [ring, tables].flatMap((region) =>
        region === undefined ? [] : [...ends.memory.u8.subarray(region.address, region.address + region.length)],
      );
    const before = bytes();
    expect(ends.add(2, 1)).toBe(DMA_NO_SPACE);
    expect(bytes()).toEqual(before);
    expect(ends.mapping.statistics.live).toBe(2 + (tables === undefined ? 1 : 2));
  });
});
