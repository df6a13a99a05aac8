import { DirectDmaMapping, DmaDirection, type DmaRegion } from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { openVirtqueue, ScatterList, UsedBatch, type Virtqueue } from '@virtio-platform/core/queue';
import { watchSession, type Recorder } from '@virtio-platform/trace';
import { PackedDevicePeer } from '../peers/packed-device-peer.ts';
import { SplitDevicePeer } from '../peers/split-device-peer.ts';
import type { Measured, RingPeer } from './measured.ts';
import type { RingEndTask } from './measure-task.ts';
import { DATA_BYTES, driverRing, listRequest, QUEUE_SIZE, SEGMENTS, STATUS_BYTES } from './ring-shape.ts';

/**
 * A measured driver's end: fills its list for each request, in premapped memory, adds it, publishes a batch and takes
 * it back.
 */
export class DriverEnd implements Measured {
  readonly perRound: number;
  readonly peer: RingPeer;
  readonly #descriptors: RingEndTask['descriptors'];
  readonly #queue: Virtqueue;
  readonly #region: DmaRegion;
  readonly #list = new ScatterList(SEGMENTS);
  readonly #batch: UsedBatch;

  constructor({ layout, descriptors, batch }: RingEndTask, recorder?: Recorder) {
    this.perRound = batch;
    this.#descriptors = descriptors;
    this.#batch = new UsedBatch(batch);
    const memory = new GuestMemory(new SharedArrayBuffer(64 * PAGE_SIZE));
    const ring = driverRing();
    const watch = recorder && watchSession(recorder);
    const direct = new DirectDmaMapping(memory, { path: 'identity', capacity: QUEUE_SIZE });
    const mapping = watch?.mapping(direct, ring.index) ?? direct;
    this.#region = mapping.premap(memory.allocate(PAGE_SIZE), PAGE_SIZE, DmaDirection.Bidirectional);
    const queue = openVirtqueue(layout, memory, mapping, ring);
    this.#queue = watch?.queue(queue) ?? queue;
    const { addresses } = this.#queue;
    const written = descriptors === 1 ? DATA_BYTES : STATUS_BYTES;
    this.peer =
      layout === 'split'
        ? new SplitDevicePeer(memory, addresses, written, batch)
        : new PackedDevicePeer(memory, addresses, descriptors, written, batch);
    this.#queue.disableNotifications();
  }

  round(): void {
    const queue = this.#queue;
    const list = this.#list;
    const region = this.#region;
    const descriptors = this.#descriptors;
    for (let i = this.perRound; i > 0; i--) {
      listRequest(list, region, descriptors);
      if (queue.add(list) < 0) throw new RangeError('the queue is full');
    }
    queue.publish();
    this.peer.turn();
    const taken = queue.takeUsed(this.#batch);
    if (taken !== this.perRound)
      throw new RangeError(`${taken} of ${this.perRound} requests came back: ${queue.broken?.detail ?? 'still out'}`);
  }
}
