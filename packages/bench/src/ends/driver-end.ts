import { DirectDmaMapping, DmaDirection } from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { openVirtqueue, ScatterList, UsedBatch, type QueueLayout, type Virtqueue } from '@virtio-platform/core/queue';
import { watchSession, type Recorder } from '@virtio-platform/trace';
import { PackedDevicePeer } from '../peers/packed-device-peer.ts';
import { SplitDevicePeer } from '../peers/split-device-peer.ts';
import { DATA_BYTES, DEPTH, DRIVER_RING, listRequest, QUEUE_SIZE, SEGMENTS, STATUS_BYTES } from '../ring-shape.ts';
import type { DescriptorCount } from '../ring-shape.ts';

/** A measured driver's end: adds the same premapped request again and again, and takes it back. */
export class DriverEnd {
  readonly peer: SplitDevicePeer | PackedDevicePeer;
  readonly #queue: Virtqueue;
  readonly #list = new ScatterList(SEGMENTS);
  readonly #batch = new UsedBatch(DEPTH);

  constructor(layout: QueueLayout, descriptors: DescriptorCount, recorder?: Recorder) {
    const memory = new GuestMemory(new SharedArrayBuffer(64 * PAGE_SIZE));
    const watch = recorder && watchSession(recorder);
    const direct = new DirectDmaMapping(memory, { path: 'identity', capacity: QUEUE_SIZE });
    const mapping = watch?.mapping(direct, DRIVER_RING.index) ?? direct;
    const region = mapping.premap(memory.allocate(PAGE_SIZE), PAGE_SIZE, DmaDirection.Bidirectional);
    listRequest(this.#list, region, descriptors);
    const queue = openVirtqueue(layout, memory, mapping, DRIVER_RING);
    this.#queue = watch?.queue(queue) ?? queue;
    const { addresses } = this.#queue;
    const written = descriptors === 1 ? DATA_BYTES : STATUS_BYTES;
    this.peer =
      layout === 'split'
        ? new SplitDevicePeer(memory, addresses, written)
        : new PackedDevicePeer(memory, addresses, descriptors, written);
    this.#queue.disableNotifications();
  }

  /** Adds, publishes and takes back {@link DEPTH} requests. Throws RangeError when one went missing. */
  round(): void {
    for (let i = 0; i < DEPTH; i++) if (this.#queue.add(this.#list) < 0) throw new RangeError('the queue is full');
    this.#queue.publish();
    this.peer.turn();
    const taken = this.#queue.takeUsed(this.#batch);
    if (taken !== DEPTH)
      throw new RangeError(`${taken} of ${DEPTH} requests came back: ${this.#queue.broken?.detail ?? 'still out'}`);
  }
}
