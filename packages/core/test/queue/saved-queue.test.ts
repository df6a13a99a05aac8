import assert from 'node:assert/strict';
import { FaultLog, PHYSICAL_ADDRESS_SPACE, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import {
  DescriptorChain,
  openDeviceQueue,
  openVirtqueue,
  QUEUE_FULL,
  restoreDeviceQueue,
  restoreVirtqueue,
  ScatterList,
  UsedBatch,
  type DeviceQueue,
  type QueueLayout,
  type Virtqueue,
} from '@virtio-platform/core/queue';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

interface LoopOptions {
  readonly layout: QueueLayout;
  readonly size: number;
  readonly indirect: number;
  readonly eventIdx: boolean;
  readonly inOrder: boolean;
}

/** Both ends of a ring, each of which can be replaced by what it saved as JSON, and which requests have to be where. */
class SavedLoop {
  readonly memory = new GuestMemory(new SharedArrayBuffer(0x4_0000));
  readonly mapping = new DirectDmaMapping(this.memory, { path: 'physical', capacity: 256 });
  readonly space: DeviceAddressSpace = PHYSICAL_ADDRESS_SPACE.open(this.memory, new FaultLog(), undefined);
  readonly driverOptions;
  readonly deviceOptions;
  queue: Virtqueue;
  device: DeviceQueue;
  readonly #list = new ScatterList(4);
  readonly #chain: DescriptorChain;
  /** By id: the number of a request, which is in the length of its first segment, and the bytes it has room for. */
  readonly #outstanding = new Map<number, { readonly number: number; readonly room: number }>();
  readonly #popped: { readonly head: number; readonly written: number }[] = [];
  #next = 1;

  constructor({ layout, size, indirect, eventIdx, inOrder }: LoopOptions) {
    const shared = { eventIdx, inOrder, byteOrder: 'little' } as const;
    this.driverOptions = { ...shared, index: 0, indirect, legacyLayout: false, usedLength: 'strict' } as const;
    this.deviceOptions = { ...shared, indirect: indirect > 0 };
    this.queue = openVirtqueue(layout, this.memory, this.mapping, { ...this.driverOptions, size });
    this.device = openDeviceQueue(layout, this.space, { ...this.deviceOptions, addresses: this.queue.addresses });
    this.#chain = new DescriptorChain(size);
  }

  add(readable: number, writable: number): void {
    const number = (this.#next % 999) + 1;
    this.#list.clear();
    for (let i = 0; i < readable; i++) this.#list.addReadable(0x2_0000, i === 0 ? number : 8);
    for (let i = 0; i < writable; i++) this.#list.addWritable(0x3_0000, readable + i === 0 ? number : 8);
    if (this.#list.count > this.queue.size) return;
    const id = this.queue.add(this.#list);
    if (id === QUEUE_FULL) return;
    assert.ok(id >= 0);
    assert.ok(!this.#outstanding.has(id));
    const room = this.#list.length.slice(readable, readable + writable).reduce((sum, length) => sum + length, 0);
    this.#outstanding.set(id, { number, room });
    this.#next++;
  }

  publish(): void {
    this.queue.publish();
  }

  pop(): void {
    if (!this.device.pop(this.#chain)) return;
    const request = this.#outstanding.get(this.#chain.head);
    assert.equal(this.#chain.length[0], request?.number);
    this.#popped.push({ head: this.#chain.head, written: this.#chain.writableBytes });
  }

  push(at: number): void {
    const [buffer] = this.#popped.splice(this.driverOptions.inOrder ? 0 : at % (this.#popped.length || 1), 1);
    if (buffer !== undefined) this.device.push(buffer.head, buffer.written);
  }

  flush(): void {
    this.device.flush();
  }

  take(): void {
    const batch = new UsedBatch(2);
    this.queue.takeUsed(batch);
    assert.equal(this.queue.broken, undefined);
    for (let i = 0; i < batch.count; i++) {
      assert.equal(batch.written[i], this.#outstanding.get(batch.ids[i]!)?.room);
      this.#outstanding.delete(batch.ids[i]!);
    }
  }

  moveDriver(): void {
    this.queue.publish();
    const saved = JSON.stringify(this.queue.save());
    this.queue = restoreVirtqueue(JSON.parse(saved), this.memory, this.mapping, this.queue.memory, this.driverOptions);
    assert.equal(JSON.stringify(this.queue.save()), saved);
    assert.equal(this.queue.outstanding, this.#outstanding.size);
  }

  moveDevice(): void {
    this.device.flush();
    const saved = JSON.stringify(this.device.save());
    this.device = restoreDeviceQueue(JSON.parse(saved), this.space, this.deviceOptions);
    assert.equal(JSON.stringify(this.device.save()), saved);
    assert.equal(this.device.inFlight, this.#popped.length);
  }

  /** Lets everything come back, gives back everything, and returns how many mappings are left. */
  finish(): number {
    this.publish();
    for (let i = 0; i <= this.queue.size; i++) {
      this.pop();
      this.push(0);
    }
    this.flush();
    for (let i = 0; i <= this.queue.size; i++) this.take();
    assert.deepEqual([this.queue.outstanding, this.device.inFlight], [0, 0]);
    this.queue.dispose();
    return this.mapping.statistics.live;
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
  it('goes on where it was, whatever is in flight, at either end of either layout', () => {
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
    const loop = new SavedLoop({ layout: 'split', size: 4, indirect: 0, eventIdx: true, inOrder: false });
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

  it.each(['split', 'packed'] as const)('is not saved while something is half done, or broken: %s', (layout) => {
    const loop = new SavedLoop({ layout, size: 4, indirect: 0, eventIdx: false, inOrder: false });
    loop.add(1, 1);
    expect(() => loop.queue.save()).toThrow(/unpublished/);
    loop.publish();
    loop.pop();
    loop.push(0);
    expect(() => loop.device.save()).toThrow(/not flushed/);
    loop.queue.markBroken({ code: 'marked-by-owner', detail: 'by a test' });
    expect(() => loop.queue.save()).toThrow(/broken/);
  });
});
