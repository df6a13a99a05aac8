import assert from 'node:assert/strict';
import { FaultLog, PHYSICAL_ADDRESS_SPACE, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import * as queues from '@virtio-platform/core/queue';

/** The options of {@link RingEnds}; every option but the layout has a default. */
export interface RingEndsOptions extends Partial<Omit<queues.VirtqueueOptions, 'unmarkedLengths'>> {
  readonly layout: queues.QueueLayout;
  /** Bytes of guest memory. Default: 1 MiB. */
  readonly bytes?: number;
  /** Mappings that the driver can have at a time. Default: 256. */
  readonly capacity?: number;
}

/**
 * Guest-physical address of the buffers that {@link RingEnds.add} describes; in the second half of the default memory.
 */
export const BUFFERS = 0x8_0000;

/** Both ends of one ring over physical addresses, of 8 entries and without any feature by default. */
export class RingEnds {
  readonly memory: GuestMemory;
  readonly mapping: DirectDmaMapping;
  readonly space: DeviceAddressSpace;
  readonly layout: queues.QueueLayout;
  readonly driverOptions: queues.VirtqueueOptions;
  readonly deviceOptions: Omit<queues.DeviceQueueOptions, 'addresses'>;
  readonly chain: queues.DescriptorChain;
  /** A test may replace either end by a restored one. */
  queue: queues.Virtqueue;
  device: queues.DeviceQueue;

  constructor({ layout, bytes = 0x10_0000, capacity = 256, ...options }: RingEndsOptions) {
    const { size = 8, eventIdx = false, inOrder = false, indirect = 0, byteOrder = 'little' } = options;
    const features = { eventIdx, inOrder, byteOrder };
    this.layout = layout;
    this.driverOptions = { index: 0, usedLength: 'strict', ...options, ...features, size, indirect };
    this.deviceOptions = { ...features, indirect: indirect > 0 };
    this.memory = new GuestMemory(new SharedArrayBuffer(bytes));
    this.mapping = new DirectDmaMapping(this.memory, { path: 'physical', capacity });
    this.space = PHYSICAL_ADDRESS_SPACE.open(this.memory, new FaultLog(), undefined);
    this.queue = queues.openVirtqueue(layout, this.memory, this.mapping, this.driverOptions);
    this.device = this.openDevice();
    this.chain = new queues.DescriptorChain(64);
  }

  /** A new device's end over the ring as it is. */
  openDevice(): queues.DeviceQueue {
    return queues.openDeviceQueue(this.layout, this.space, { ...this.deviceOptions, addresses: this.queue.addresses });
  }

  /**
   * Adds one buffer of these segments, each of `bytes` and at an address of its own. Returns its id or why there is
   * none.
   */
  add(readable: number, writable: number, bytes = 16): number {
    const list = new queues.ScatterList(readable + writable);
    for (let i = 0; i < readable; i++) list.addReadable(BUFFERS + i * bytes, bytes);
    for (let i = 0; i < writable; i++) list.addWritable(BUFFERS + (readable + i) * bytes, bytes);
    return this.queue.add(list);
  }

  /**
   * Adds and publishes `count` buffers of as many writable segments of 16 bytes, which the device pops. Returns their
   * ids.
   */
  give(count: number, segments = 1): number[] {
    const ids = Array.from({ length: count }, () => this.add(0, segments));
    this.queue.publish();
    for (const id of ids) {
      assert.ok(this.device.pop(this.chain));
      assert.equal(this.chain.head, id);
    }
    return ids;
  }

  /** Returns one buffer to the driver, with `written` bytes. Returns whether the driver wants a notification. */
  use(id: number, written: number): boolean {
    this.device.push(id, written);
    return this.device.flush();
  }

  /** Returns every available buffer to the driver as completely written. Returns how many these are. */
  returnAll(): number {
    let count = 0;
    for (; this.device.pop(this.chain); count++) this.device.push(this.chain.head, this.chain.writableBytes);
    this.device.flush();
    return count;
  }

  /** Takes up to `capacity` used buffers back. Returns id and written bytes of each. */
  take(capacity: number = this.queue.size): [id: number, written: number][] {
    const batch = new queues.UsedBatch(capacity);
    const count = this.queue.takeUsed(batch);
    return Array.from({ length: count }, (_, i) => [batch.ids[i]!, batch.written[i]!]);
  }
}
