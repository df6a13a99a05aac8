import assert from 'node:assert/strict';
import {
  QUEUE_FULL,
  restoreDeviceQueue,
  restoreVirtqueue,
  ScatterList,
  type QueueLayout,
} from '@virtio-platform/core/queue';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RingEnds, type RingEndsOptions } from './ring-ends.ts';

/**
 * Both ends of a ring, each of which can be replaced by its state saved as JSON, and the place where each request must
 * be.
 */
class SavedLoop {
  readonly ends: RingEnds;
  readonly #list = new ScatterList(4);
  /** By id: the number of a request, which is in the length of its first segment, and its writable bytes. */
  readonly #outstanding = new Map<number, { readonly number: number; readonly writable: number }>();
  readonly #popped: { readonly head: number; readonly written: number }[] = [];
  #next = 1;

  constructor(options: RingEndsOptions) {
    this.ends = new RingEnds(options);
  }

  add(readable: number, writable: number): void {
    const number = (this.#next % 999) + 1;
    this.#list.clear();
    for (let i = 0; i < readable; i++) this.#list.addReadable(0x2_0000, i === 0 ? number : 8);
    for (let i = 0; i < writable; i++) this.#list.addWritable(0x3_0000, readable + i === 0 ? number : 8);
    if (this.#list.count > this.ends.queue.size) return;
    const id = this.ends.queue.add(this.#list);
    if (id === QUEUE_FULL) return;
    assert.ok(id >= 0);
    assert.ok(!this.#outstanding.has(id));
    this.#outstanding.set(id, { number, writable: this.#list.writableBytes });
    this.#next++;
  }

  publish(): void {
    this.ends.queue.publish();
  }

  pop(): void {
    const { chain, device } = this.ends;
    if (!device.pop(chain)) return;
    const request = this.#outstanding.get(chain.head);
    assert.equal(chain.length[0], request?.number);
    this.#popped.push({ head: chain.head, written: chain.writableBytes });
  }

  push(at: number): void {
    const [buffer] = this.#popped.splice(this.ends.driverOptions.inOrder ? 0 : at % (this.#popped.length || 1), 1);
    if (buffer !== undefined) this.ends.device.push(buffer.head, buffer.written);
  }

  flush(): void {
    this.ends.device.flush();
  }

  take(): void {
    for (const [id, written] of this.ends.take(2)) {
      assert.equal(written, this.#outstanding.get(id)?.writable);
      this.#outstanding.delete(id);
    }
    assert.equal(this.ends.queue.broken, undefined);
  }

  moveDriver(): void {
    const { queue, memory, mapping, driverOptions } = this.ends;
    queue.publish();
    const saved = JSON.stringify(queue.save());
    this.ends.queue = restoreVirtqueue(JSON.parse(saved), memory, mapping, queue.memory, driverOptions);
    assert.equal(JSON.stringify(this.ends.queue.save()), saved);
    assert.equal(this.ends.queue.outstanding, this.#outstanding.size);
  }

  moveDevice(): void {
    const { device, space, deviceOptions } = this.ends;
    device.flush();
    const saved = JSON.stringify(device.save());
    this.ends.device = restoreDeviceQueue(JSON.parse(saved), space, deviceOptions);
    assert.equal(JSON.stringify(this.ends.device.save()), saved);
    assert.equal(this.ends.device.inFlight, this.#popped.length);
  }

  /** Moves every buffer back to the driver, disposes the queue, and returns how many mappings are left. */
  finish(): number {
    const { queue, device, mapping } = this.ends;
    this.publish();
    for (let i = 0; i <= queue.size; i++) {
      this.pop();
      this.push(0);
    }
    this.flush();
    for (let i = 0; i <= queue.size; i++) this.take();
    assert.deepEqual([queue.outstanding, device.inFlight], [0, 0]);
    queue.dispose();
    return mapping.statistics.live;
  }
}

const loops = fc.record({
  layout: fc.constantFrom<QueueLayout>('split', 'packed'),
  size: fc.constantFrom(4, 8),
  indirect: fc.constantFrom(0, 3),
  eventIdx: fc.boolean(),
  inOrder: fc.boolean(),
});

const steps = fc.array(
  fc.oneof(
    fc.tuple(fc.constant('add' as const), fc.integer({ min: 0, max: 2 }), fc.integer({ min: 1, max: 2 })),
    fc.tuple(fc.constant('push' as const), fc.nat(7), fc.constant(0)),
    fc.tuple(
      fc.constantFrom('publish', 'pop', 'flush', 'take', 'moveDriver', 'moveDevice'),
      fc.constant(0),
      fc.constant(0),
    ),
  ),
  { maxLength: 120 },
);

describe('a saved queue', () => {
  it('goes on where it was with any buffers in flight, at either end of either layout', () => {
    fc.assert(
      fc.property(loops, steps, (options, operations) => {
        const loop = new SavedLoop(options);
        for (const [name, a, b] of operations) loop[name](a, b);
        expect(loop.finish()).toBe(0);
      }),
      { numRuns: 400 },
    );
  });

  it('goes on over the wrap of its index', () => {
    const loop = new SavedLoop({ layout: 'split', size: 4, eventIdx: true });
    for (let i = 0; i < 0x1_0010; i++) {
      loop.add(0, 1);
      loop.publish();
      loop.pop();
      if (i > 0xfff0) {
        loop.moveDriver();
        loop.moveDevice();
      }
      loop.push(0);
      loop.flush();
      loop.take();
    }
    expect(loop.finish()).toBe(0);
  });

  it.each(['split', 'packed'] as const)(
    'is not saved with an unpublished or unflushed buffer, or broken: %s',
    (layout) => {
      const loop = new SavedLoop({ layout, size: 4 });
      loop.add(1, 1);
      expect(() => loop.ends.queue.save()).toThrow(/unpublished/);
      loop.publish();
      loop.pop();
      loop.push(0);
      expect(() => loop.ends.device.save()).toThrow(/not flushed/);
      loop.ends.queue.markBroken({ code: 'marked-by-owner', detail: 'by a test' });
      expect(() => loop.ends.queue.save()).toThrow(/broken/);
    },
  );
});
