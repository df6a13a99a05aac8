import { FaultLog, PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import {
  DescriptorChain,
  openDeviceQueue,
  type DeviceQueue,
  type QueueAddresses,
  type QueueLayout,
} from '@virtio-platform/core/queue';

export interface LayoutDeviceOptions {
  readonly eventIdx?: boolean;
  readonly indirect?: boolean;
  readonly inOrder?: boolean;
}

/** The device's end of a ring of either layout over physical addresses, which gives every buffer back as completely written. */
export class LayoutDevice {
  readonly queue: DeviceQueue;
  readonly chain: DescriptorChain;

  constructor(layout: QueueLayout, memory: GuestMemory, addresses: QueueAddresses, options: LayoutDeviceOptions = {}) {
    const { eventIdx = false, indirect = false, inOrder = false } = options;
    const space = PHYSICAL_ADDRESS_SPACE.open(memory, new FaultLog(), undefined);
    const features = { eventIdx, indirect, inOrder, byteOrder: 'little' } as const;
    this.queue = openDeviceQueue(layout, space, { addresses, ...features });
    this.chain = new DescriptorChain(addresses.size);
  }

  /** Returns everything available, and how many buffers that were. */
  returnAll(): number {
    let count = 0;
    for (; this.queue.pop(this.chain); count++) this.queue.push(this.chain.head, this.chain.writableBytes);
    this.queue.flush();
    return count;
  }
}
