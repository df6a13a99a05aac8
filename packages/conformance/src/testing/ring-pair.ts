import { FaultLog, PHYSICAL_ADDRESS_SPACE, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DirectDmaMapping, type DmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import {
  DescriptorChain,
  openDeviceQueue,
  openVirtqueue,
  ScatterList,
  UsedBatch,
  type DeviceQueue,
  type QueueLayout,
  type Virtqueue,
  type VirtqueueOptions,
} from '@virtio-platform/core/queue';
/** What a {@link RingPair} is made of. Unless given: the ring of {@link ringOptions}, over physical addresses. */
export interface RingPairOptions extends Partial<VirtqueueOptions> {
  /** `split` unless given. */
  readonly layout?: QueueLayout;
  /** Buffers that {@link RingPair.take} takes at most. As many as the queue has entries unless given. */
  readonly batch?: number;
  /** Guest memory, or the bytes of a new one. 1 MiB unless given. */
  readonly memory?: GuestMemory | number;
  /** The queue's mapping. Physical addresses unless given; a test that gives one gives `space` too. */
  readonly mapping?: DmaMapping;
  /** The address space of the device. Physical addresses unless given. */
  readonly space?: DeviceAddressSpace;
}

/**
 * Both ends of one virtqueue over one guest memory: the driver's end, the device's end, and a scatter list, a chain and
 * a batch to use them with. The test does what a driver and a device do.
 */
export class RingPair {
  readonly memory: GuestMemory;
  readonly mapping: DmaMapping;
  readonly space: DeviceAddressSpace;
  /** The driver's end. */
  readonly queue: Virtqueue;
  /** The device's end. */
  readonly device: DeviceQueue;
  /** As many segments as the queue has entries. */
  readonly list: ScatterList;
  /** What {@link pop} copied of the ring. */
  readonly chain: DescriptorChain;
  /** What {@link take} took. */
  readonly batch: UsedBatch;

  constructor(options: RingPairOptions = {}) {
    const { layout = 'split', memory = 2 ** 20, batch, mapping, space, ...changes } = options;
    const ring = ringOptions(changes);
    const { size, indirect, eventIdx, inOrder, byteOrder } = ring;
    this.memory = typeof memory === 'number' ? new GuestMemory(new SharedArrayBuffer(memory)) : memory;
    // Each entry may hold a table, and the ring's three areas are mapped too.
    const capacity = size * Math.max(indirect, 1) + size + 3;
    this.mapping = mapping ?? new DirectDmaMapping(this.memory, { path: 'physical', capacity });
    this.space = space ?? PHYSICAL_ADDRESS_SPACE.open(this.memory, new FaultLog(), undefined);
    this.queue = openVirtqueue(layout, this.memory, this.mapping, ring);
    const { addresses } = this.queue;
    this.device = openDeviceQueue(layout, this.space, {
      addresses,
      eventIdx,
      inOrder,
      indirect: indirect > 0,
      byteOrder,
    });
    this.list = new ScatterList(size);
    this.chain = new DescriptorChain(size);
    this.batch = new UsedBatch(batch ?? size);
  }

  /**
   * Driver: adds the list as one buffer and publishes it. Returns its id, or a negative {@link Virtqueue.add} result.
   */
  send(): number {
    const id = this.queue.add(this.list);
    if (id >= 0) this.queue.publish();
    return id;
  }

  /** Device: pops the next buffer into {@link chain}. Returns false where there is none or the ring is broken. */
  pop(): boolean {
    return this.device.pop(this.chain);
  }

  /** Device: returns the buffer in {@link chain} with `written` bytes. */
  push(written: number): void {
    this.device.push(this.chain.head, written);
    this.device.flush();
  }

  /** Driver: takes what the device returned into {@link batch}, and returns how many buffers that are. */
  take(): number {
    return this.queue.takeUsed(this.batch);
  }

  /**
   * Sends the list as a buffer, and returns it from the device with `written` bytes, `times` times over. Throws an
   * Error where a buffer does not come back.
   */
  roundTrip(times: number = 1, written: number = 0): void {
    for (let i = 0; i < times; i++) {
      if (this.send() < 0 || !this.pop()) throw new Error(`buffer ${i} does not reach the device`);
      this.push(written);
      if (this.take() !== 1) throw new Error(`buffer ${i} does not come back`);
    }
  }
}

/**
 * The options of a driver's end, with `changes` in front of the defaults of the tests: queue 0 with 8 entries, little
 * endian, without EVENT_IDX, IN_ORDER and INDIRECT_DESC; a used length beyond the writable part breaks the queue.
 */
export function ringOptions(changes: Partial<VirtqueueOptions> = {}): Required<VirtqueueOptions> {
  return {
    index: 0,
    size: 8,
    eventIdx: false,
    inOrder: false,
    indirect: 0,
    legacyLayout: false,
    byteOrder: 'little',
    usedLength: 'strict',
    unmarkedLengths: false,
    wholeUsedElements: false,
    ...changes,
  };
}
