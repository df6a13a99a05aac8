import { DmaDirection, type DmaMapping, type DmaRegion } from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { DescriptorChain, openDeviceQueue, openVirtqueue, ScatterList, UsedBatch } from '@virtio-platform/core/queue';
import type { DeviceQueue, QueueLayout, Virtqueue } from '@virtio-platform/core/queue';
import { MEASURED_PLATFORMS } from './measured-platforms.ts';
import {
  DATA_BYTES,
  DEPTH,
  DRIVER_RING,
  HEADER_BYTES,
  listRequest,
  QUEUE_SIZE,
  SEGMENTS,
  STATUS_BYTES,
} from './ring-shape.ts';

/** A measured loop of both ends under one platform. */
export interface RingLoopOptions {
  /** A name in {@link MEASURED_PLATFORMS}. */
  readonly platform: string;
  readonly layout: QueueLayout;
  /** Whether the buffers lie in a region mapped once, or are mapped and unmapped with each request. */
  readonly premapped: boolean;
  /** Whether each request is one descriptor that refers to a table, or three of the ring's own. */
  readonly indirect: boolean;
}

/**
 * The ring in its steady state, both ends in one thread: the driver fills the queue, the device empties it, the driver
 * takes all back.
 */
export class RingLoop {
  readonly mapping: DmaMapping;
  readonly #queue: Virtqueue;
  readonly #device: DeviceQueue;
  readonly #premapped: boolean;
  readonly #buffer: number;
  readonly #region: DmaRegion;
  readonly #list = new ScatterList(SEGMENTS);
  readonly #chain = new DescriptorChain(QUEUE_SIZE);
  readonly #batch = new UsedBatch(DEPTH);

  constructor(options: RingLoopOptions) {
    const memory = new GuestMemory(new SharedArrayBuffer(8 * 1024 * 1024));
    const indirect = options.indirect ? SEGMENTS : 0;
    const open = MEASURED_PLATFORMS.get(options.platform);
    if (open === undefined) throw new RangeError(`no platform is named ${options.platform}`);
    const { mapping, space } = open(memory, DEPTH * SEGMENTS);
    this.mapping = mapping;
    this.#premapped = options.premapped;
    this.#buffer = memory.allocate(PAGE_SIZE);
    this.#region = this.mapping.premap(this.#buffer, PAGE_SIZE, DmaDirection.Bidirectional);
    this.#queue = openVirtqueue(options.layout, memory, this.mapping, { ...DRIVER_RING, indirect });
    this.#device = openDeviceQueue(options.layout, space, {
      addresses: this.#queue.addresses,
      eventIdx: DRIVER_RING.eventIdx,
      indirect: options.indirect,
    });
  }

  /** Sends a round of requests and returns how many. Throws when one went missing. */
  round(): number {
    for (let i = 0; i < DEPTH; i++) {
      this.#fill();
      if (this.#queue.add(this.#list) < 0) throw new RangeError('the queue is full');
    }
    this.#queue.publish();
    while (this.#device.pop(this.#chain)) this.#device.push(this.#chain.head, this.#chain.writableBytes);
    this.#device.flush();
    const taken = this.#queue.takeUsed(this.#batch);
    if (taken !== DEPTH) throw new RangeError(`${taken} of ${DEPTH} requests came back`);
    return taken;
  }

  #fill(): void {
    const list = this.#list;
    if (this.#premapped) {
      this.#region.syncForDevice(0, HEADER_BYTES + DATA_BYTES);
      listRequest(list, this.#region, SEGMENTS);
    } else {
      list.clear();
      list.addReadable(this.#buffer, HEADER_BYTES);
      list.addReadable(this.#buffer + HEADER_BYTES, DATA_BYTES);
      list.addWritable(this.#buffer + HEADER_BYTES + DATA_BYTES, STATUS_BYTES);
    }
  }
}
