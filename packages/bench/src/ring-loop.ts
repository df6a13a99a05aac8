import {
  BOUNCE_SEGMENT_SLOTS,
  BOUNCE_SLOT_SIZE,
  BouncedDmaMapping,
  BouncePool,
  DescriptorChain,
  DirectDmaMapping,
  DmaDirection,
  FaultLog,
  GuestMemory,
  PAGE_SIZE,
  PHYSICAL_ADDRESS_SPACE,
  ScatterList,
  SplitDeviceQueue,
  SplitVirtqueue,
  UsedBatch,
  type DeviceQueue,
  type DmaMapping,
  type DmaRegion,
  type Virtqueue,
} from '@virtio-platform/core';

/** The mappings that are measured, each in a process of its own so that its call sites see one class. */
export const RING_LOOP_MAPPINGS = ['direct', 'bounced'] as const;

export interface RingLoopOptions {
  readonly mapping: (typeof RING_LOOP_MAPPINGS)[number];
  /** Whether the buffers lie in a region mapped once, or are mapped and unmapped with each request. */
  readonly premapped: boolean;
  /** Whether each request is one descriptor that refers to a table, or three of the ring's own. */
  readonly indirect: boolean;
}

/** Entries of the queue, and requests in flight: the C reference has the same. */
export const QUEUE_SIZE = 256;
export const DEPTH = 32;
/** Segments of a request, as a block write has them: header, data, status. Bytes. */
const HEADER_BYTES = 16;
const DATA_BYTES = 512;
const STATUS_BYTES = 1;
const SEGMENTS = 3;

/** The ring in its steady state, both ends in one thread: the driver fills the queue, the device empties it, the driver takes all back. */
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
    this.mapping = openMapping(memory, options.mapping);
    this.#premapped = options.premapped;
    this.#buffer = memory.allocate(PAGE_SIZE);
    this.#region = this.mapping.premap(this.#buffer, PAGE_SIZE, DmaDirection.Bidirectional);
    const shared = { eventIdx: true, byteOrder: 'little' } as const;
    const queue = new SplitVirtqueue(memory, this.mapping, {
      ...shared,
      index: 0,
      size: QUEUE_SIZE,
      indirect,
      legacyLayout: false,
      usedLength: 'strict',
    });
    const space = PHYSICAL_ADDRESS_SPACE.open(memory, new FaultLog(), PHYSICAL_ADDRESS_SPACE.state);
    this.#queue = queue;
    this.#device = new SplitDeviceQueue(space, { ...shared, addresses: queue.addresses, indirect: options.indirect });
  }

  /** Sends at least `requests` requests, a whole number of rounds, and returns how many. Throws when one went missing. */
  run(requests: number): number {
    let done = 0;
    while (done < requests) done += this.#round();
    return done;
  }

  #round(): number {
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
    list.clear();
    if (this.#premapped) {
      this.#region.syncForDevice(0, HEADER_BYTES + DATA_BYTES);
      list.addReadableRegion(this.#region, 0, HEADER_BYTES);
      list.addReadableRegion(this.#region, HEADER_BYTES, DATA_BYTES);
      list.addWritableRegion(this.#region, HEADER_BYTES + DATA_BYTES, STATUS_BYTES);
    } else {
      list.addReadable(this.#buffer, HEADER_BYTES);
      list.addReadable(this.#buffer + HEADER_BYTES, DATA_BYTES);
      list.addWritable(this.#buffer + HEADER_BYTES + DATA_BYTES, STATUS_BYTES);
    }
  }
}

function openMapping(memory: GuestMemory, kind: RingLoopOptions['mapping']): DmaMapping {
  const capacity = DEPTH * SEGMENTS;
  const direct = new DirectDmaMapping(memory, { path: 'identity', capacity });
  if (kind === 'direct') return direct;
  const poolBytes = BOUNCE_SEGMENT_SLOTS * BOUNCE_SLOT_SIZE * 4;
  const pool = { slots: new BouncePool(poolBytes), region: direct.allocateCoherent(poolBytes, PAGE_SIZE) };
  return new BouncedDmaMapping(memory, pool, direct, capacity);
}
