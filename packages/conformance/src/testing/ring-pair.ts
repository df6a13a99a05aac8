import { FaultLog, PHYSICAL_ADDRESS_SPACE, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DirectDmaMapping, type DmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import {
  DescriptorChain,
  openDeviceQueue,
  openVirtqueue,
  ScatterList,
  UsedBatch,
  type ByteOrder,
  type DeviceQueue,
  type QueueLayout,
  type UsedLengthPolicy,
  type Virtqueue,
} from '@virtio-platform/core/queue';

/** What a {@link RingPair} is made of. Each field has a default: a small split ring over physical addresses. */
export interface RingPairOptions {
  /** `split` unless given. */
  readonly layout?: QueueLayout;
  /** Number of the queue. 0 unless given. */
  readonly index?: number;
  /** Entries of the queue. 8 unless given; a power of two for a split ring. */
  readonly size?: number;
  readonly eventIdx?: boolean;
  /** Entries of each indirect table. 0 unless given, which is without indirect tables. */
  readonly indirect?: number;
  readonly inOrder?: boolean;
  /** `little` unless given. */
  readonly byteOrder?: ByteOrder;
  /** Whether the split ring is contiguous, as the legacy interface has it. */
  readonly legacyLayout?: boolean;
  /** `strict` unless given. */
  readonly usedLength?: UsedLengthPolicy;
  /** Buffers that {@link RingPair.take} takes at most. As many as the queue has entries unless given. */
  readonly batch?: number;
  /** Guest memory, or the bytes of a new one. 1 MiB unless given. */
  readonly memory?: GuestMemory | number;
  /** The queue's mapping. Physical addresses unless given; whoever gives one gives `space` too. */
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
    const { layout = 'split', index = 0, size = 8, memory = 2 ** 20, indirect = 0 } = options;
    const { eventIdx = false, inOrder = false, byteOrder = 'little' } = options;
    const { legacyLayout = false, usedLength = 'strict' } = options;
    this.memory = typeof memory === 'number' ? new GuestMemory(new SharedArrayBuffer(memory)) : memory;
    // Each entry may hold a table, and the ring's three areas are mapped too.
    const capacity = size * Math.max(indirect, 1) + size + 3;
    this.mapping = options.mapping ?? new DirectDmaMapping(this.memory, { path: 'physical', capacity });
    this.space = options.space ?? PHYSICAL_ADDRESS_SPACE.open(this.memory, new FaultLog(), undefined);
    const ring = { eventIdx, inOrder, byteOrder } as const;
    const driverOptions = { ...ring, index, size, indirect, legacyLayout, usedLength } as const;
    this.queue = openVirtqueue(layout, this.memory, this.mapping, driverOptions);
    const { addresses } = this.queue;
    this.device = openDeviceQueue(layout, this.space, { ...ring, addresses, indirect: indirect > 0 });
    this.list = new ScatterList(size);
    this.chain = new DescriptorChain(size);
    this.batch = new UsedBatch(options.batch ?? size);
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
