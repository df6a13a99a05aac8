import { FaultLog, PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import { DirectDmaMapping, DmaDirection } from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import {
  DescriptorChain,
  openDeviceQueue,
  openVirtqueue,
  ScatterList,
  UsedBatch,
  type DeviceQueue,
  type QueueLayout,
  type Virtqueue,
} from '@virtio-platform/core/queue';
import { PackedDevicePeer } from './peers/packed-device-peer.ts';
import { PackedDriverPeer } from './peers/packed-driver-peer.ts';
import { requestSegments } from './request-segments.ts';
import {
  DATA_BYTES,
  DEPTH,
  DESCRIPTOR_COUNTS,
  LAYOUTS,
  listRequest,
  QUEUE_SIZE,
  SEGMENTS,
  STATUS_BYTES,
  type DescriptorCount,
} from './ring-shape.ts';
import { SplitDevicePeer } from './peers/split-device-peer.ts';
import { SplitDriverPeer } from './peers/split-driver-peer.ts';

/** Which end of which ring is measured, and with which requests. */
export interface RingEndOptions {
  readonly layout: QueueLayout;
  readonly end: 'driver' | 'device';
  readonly descriptors: DescriptorCount;
}

/** Every case there is. */
export const RING_ENDS: readonly RingEndOptions[] = LAYOUTS.flatMap((layout) =>
  (['driver', 'device'] as const).flatMap((end) =>
    DESCRIPTOR_COUNTS.map((descriptors) => ({ layout, end, descriptors })),
  ),
);

/** Plays the end that is not measured, in a tight loop that checks nothing. */
export interface RingPeer {
  /** Does its part for {@link DEPTH} requests. */
  turn(): void;
}

/** One end of a ring in its steady state, and the loop that plays the other one. */
export interface RingEnd {
  readonly peer: RingPeer;
  /** Both parts of {@link DEPTH} requests. Throws when one went missing. */
  round(): void;
}

/** Opens the driver's or the device's end of a ring of its own, for a process that measures that end. */
export function openRingEnd({ layout, end, descriptors }: RingEndOptions): RingEnd {
  return end === 'driver' ? new DriverEnd(layout, descriptors) : new DeviceEnd(layout, descriptors);
}

/** Adds the same premapped request again and again, and takes it back. */
class DriverEnd implements RingEnd {
  readonly peer: RingPeer;
  readonly #queue: Virtqueue;
  readonly #list = new ScatterList(SEGMENTS);
  readonly #batch = new UsedBatch(DEPTH);

  constructor(layout: QueueLayout, descriptors: DescriptorCount) {
    const memory = new GuestMemory(new SharedArrayBuffer(64 * PAGE_SIZE));
    const mapping = new DirectDmaMapping(memory, { path: 'identity', capacity: QUEUE_SIZE });
    const region = mapping.premap(memory.allocate(PAGE_SIZE), PAGE_SIZE, DmaDirection.Bidirectional);
    listRequest(this.#list, region, descriptors);
    this.#queue = openVirtqueue(layout, memory, mapping, {
      index: 0,
      size: QUEUE_SIZE,
      eventIdx: true,
      indirect: 0,
      legacyLayout: false,
      byteOrder: 'little',
      usedLength: 'strict',
    });
    const { addresses } = this.#queue;
    const written = descriptors === 1 ? DATA_BYTES : STATUS_BYTES;
    this.peer =
      layout === 'split'
        ? new SplitDevicePeer(memory, addresses, written)
        : new PackedDevicePeer(memory, addresses, descriptors, written);
    this.#queue.disableNotifications();
  }

  round(): void {
    for (let i = 0; i < DEPTH; i++) if (this.#queue.add(this.#list) < 0) throw new RangeError('the queue is full');
    this.#queue.publish();
    this.peer.turn();
    const taken = this.#queue.takeUsed(this.#batch);
    if (taken !== DEPTH)
      throw new RangeError(`${taken} of ${DEPTH} requests came back: ${this.#queue.broken?.detail ?? 'still out'}`);
  }
}

/** Pops what there is, all checked and copied, and returns it as written completely. */
class DeviceEnd implements RingEnd {
  readonly peer: RingPeer;
  readonly #device: DeviceQueue;
  readonly #chain = new DescriptorChain(QUEUE_SIZE);

  constructor(layout: QueueLayout, descriptors: DescriptorCount) {
    const memory = new GuestMemory(new SharedArrayBuffer(64 * PAGE_SIZE));
    const space = PHYSICAL_ADDRESS_SPACE.open(memory, new FaultLog(), undefined);
    const segments = requestSegments(memory.allocate(PAGE_SIZE), descriptors);
    const peer = layout === 'split' ? new SplitDriverPeer(memory, segments) : new PackedDriverPeer(memory, segments);
    this.peer = peer;
    this.#device = openDeviceQueue(layout, space, {
      addresses: peer.addresses,
      eventIdx: true,
      indirect: false,
      byteOrder: 'little',
    });
  }

  round(): void {
    this.peer.turn();
    let done = 0;
    for (; this.#device.pop(this.#chain); done++) this.#device.push(this.#chain.head, this.#chain.writableBytes);
    this.#device.flush();
    if (done !== DEPTH)
      throw new RangeError(`${done} of ${DEPTH} requests arrived: ${this.#device.broken?.detail ?? 'none is left'}`);
  }
}
