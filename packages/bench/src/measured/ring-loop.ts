import { DmaDirection, type DmaMapping, type DmaRegion } from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { DescriptorChain, openDeviceQueue, openVirtqueue, ScatterList, UsedBatch } from '@virtio-platform/core/queue';
import type { DeviceQueue, Virtqueue } from '@virtio-platform/core/queue';
import { MEASURED_PLATFORMS, type OpenPlatform } from './measured-platforms.ts';
import type { Measured } from './measured.ts';
import type { RingLoopTask } from './measure-task.ts';
import { DATA_BYTES, driverRing, HEADER_BYTES, listRequest, QUEUE_SIZE, SEGMENTS, STATUS_BYTES } from './ring-shape.ts';

const MEMORY_BYTES = 8 * 1024 * 1024;

/**
 * The ring in its steady state, both ends in one thread: the driver adds a batch, the device empties the queue, the
 * driver takes all back. With several queues each has its turn in a round.
 */
export class RingLoop implements Measured {
  readonly perRound: number;
  readonly mapping: DmaMapping;
  readonly #queues: readonly LoopedQueue[];

  /** Throws RangeError for a platform that is not measured. */
  constructor(task: Omit<RingLoopTask, 'kind'>) {
    const { batch, memoryBytes = MEMORY_BYTES, queues = 1, platform, size = QUEUE_SIZE } = task;
    this.perRound = batch * queues;
    const memory = new GuestMemory(new SharedArrayBuffer(memoryBytes));
    const open = MEASURED_PLATFORMS.get(platform);
    if (open === undefined) throw new RangeError(`no platform is named ${platform}`);
    const opened = open(memory, queues * size);
    this.mapping = opened.mapping;
    // What lies below the buffers: addresses far up are no small integers of V8 any more.
    if (memoryBytes > MEMORY_BYTES) memory.allocate(memoryBytes - MEMORY_BYTES);
    this.#queues = Array.from({ length: queues }, () => new LoopedQueue(memory, opened, task));
  }

  round(): void {
    const queues = this.#queues;
    for (let i = 0; i < queues.length; i++) queues[i]!.turn();
  }
}

/** Both ends of one queue. */
class LoopedQueue {
  readonly #count: number;
  readonly #queue: Virtqueue;
  readonly #device: DeviceQueue;
  readonly #premapped: boolean;
  readonly #buffer: number;
  readonly #region: DmaRegion;
  readonly #list = new ScatterList(SEGMENTS);
  readonly #chain: DescriptorChain;
  readonly #batch: UsedBatch;

  constructor(memory: GuestMemory, { mapping, space }: OpenPlatform, task: Omit<RingLoopTask, 'kind'>) {
    const { layout, premapped, indirect, batch, size } = task;
    this.#count = batch;
    this.#batch = new UsedBatch(batch);
    this.#premapped = premapped;
    this.#buffer = memory.allocate(PAGE_SIZE);
    this.#region = mapping.premap(this.#buffer, PAGE_SIZE, DmaDirection.Bidirectional);
    const ring = driverRing(size, indirect ? SEGMENTS : 0);
    this.#queue = openVirtqueue(layout, memory, mapping, ring);
    const { addresses } = this.#queue;
    this.#device = openDeviceQueue(layout, space, { addresses, eventIdx: ring.eventIdx, indirect });
    this.#chain = new DescriptorChain(this.#device.longestChain);
  }

  turn(): void {
    const queue = this.#queue;
    const device = this.#device;
    for (let i = this.#count; i > 0; i--) {
      this.#fill();
      if (queue.add(this.#list) < 0) throw new RangeError('the queue is full');
    }
    queue.publish();
    while (device.pop(this.#chain)) device.push(this.#chain.head, this.#chain.writableBytes);
    device.flush();
    const taken = queue.takeUsed(this.#batch);
    if (taken !== this.#count) throw new RangeError(`${taken} of ${this.#count} requests came back`);
  }

  #fill(): void {
    const list = this.#list;
    if (this.#premapped) {
      this.#region.syncForDevice(0, HEADER_BYTES + DATA_BYTES);
      return listRequest(list, this.#region, SEGMENTS);
    }
    list.clear();
    list.addReadable(this.#buffer, HEADER_BYTES);
    list.addReadable(this.#buffer + HEADER_BYTES, DATA_BYTES);
    list.addWritable(this.#buffer + HEADER_BYTES + DATA_BYTES, STATUS_BYTES);
  }
}
