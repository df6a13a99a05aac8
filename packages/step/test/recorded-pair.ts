import { RingPair, type RingPairOptions } from '@virtio-platform/conformance/testing';
import { FaultLog, PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import {
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '@virtio-platform/core/features';
import type { DeviceQueue, Virtqueue } from '@virtio-platform/core/queue';
import { DetailRecorder, recordingOf, untilFailure, Walk, type Recording } from '@virtio-platform/step';
import { KIND, watchDevice, watchSession } from '@virtio-platform/trace';

/** Both ends of a ring under a recorder of every detail. */
export class RecordedPair {
  readonly pair: RingPair;
  readonly queue: Virtqueue;
  readonly device: DeviceQueue;
  readonly recorder: DetailRecorder = new DetailRecorder(2 ** 14);

  constructor(options: RingPairOptions & { readonly unseen?: boolean } = {}) {
    const { layout = 'split', eventIdx = false, inOrder = false, indirect = 0, byteOrder = 'little', unseen } = options;
    const { recorder } = this;
    const memory = new GuestMemory(new SharedArrayBuffer(2 ** 20));
    const bits = [
      VIRTIO_F_VERSION_1,
      ...(layout === 'packed' ? [VIRTIO_F_RING_PACKED] : []),
      ...(eventIdx ? [VIRTIO_RING_F_EVENT_IDX] : []),
      ...(inOrder ? [VIRTIO_F_IN_ORDER] : []),
      ...(indirect > 0 ? [VIRTIO_RING_F_INDIRECT_DESC] : []),
    ].reduce((sum, bit) => sum | (1n << BigInt(bit)), 0n);
    recorder.record(KIND.features, -1, 1, -1, Number(bits & 0xffff_ffffn), Number(bits >> 32n), 0, 0);
    const session = watchSession(recorder);
    const mapping = session.mapping(new DirectDmaMapping(memory, { path: 'physical', capacity: 1024 }), 0);
    const plain = PHYSICAL_ADDRESS_SPACE.open(memory, new FaultLog(), undefined);
    const watch = unseen === true ? undefined : watchDevice(recorder);
    const space = watch?.addressSpace(plain) ?? plain;
    this.pair = new RingPair({ ...options, memory, mapping, space });
    this.queue = session.queue(this.pair.queue);
    this.device = watch?.queue(this.pair.device, 0) ?? this.pair.device;
    recorder.follow(this.pair.queue, memory, byteOrder);
    recorder.record(KIND.enableQueue, 0, 0, -1, 0, 0, 0, this.pair.queue.size);
  }

  /** What was recorded so far, with the time of an event as its number. */
  get recording(): Recording {
    const events = this.recorder.events.map((event) => ({ ...event, time: event.index }));
    return { ...recordingOf({ events: [], dropped: 0 }, 'pair'), ...untilFailure(events), hasMemory: true };
  }

  get walk(): Walk {
    return new Walk(this.recording);
  }

  /** Adds a buffer: segments that the device reads, then those that it writes, 16 bytes each. */
  add(readable: number, writable: number): number {
    const { list } = this.pair;
    list.clear();
    for (let i = 0; i < readable; i++) list.addReadable(0x8000 + 64 * i, 16);
    for (let i = 0; i < writable; i++) list.addWritable(0x9000 + 64 * i, 16);
    return this.queue.add(list);
  }
}
