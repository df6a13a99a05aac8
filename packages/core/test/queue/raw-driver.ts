import { FaultLog, PHYSICAL_ADDRESS_SPACE, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import {
  openDescriptorTable,
  openSplitRing,
  SplitDeviceQueue,
  splitLayout,
  type ByteOrder,
  type DescriptorTable,
  type SplitRing,
} from '@virtio-platform/core/queue';

export interface RawDriverOptions {
  readonly size?: number;
  readonly eventIdx?: boolean;
  readonly indirect?: boolean;
  readonly byteOrder?: ByteOrder;
}

/**
 * A driver that writes whatever a test wants into a ring in guest memory, and the device queue that has to cope with
 * it.
 */
export class RawDriver {
  readonly memory: GuestMemory;
  readonly space: DeviceAddressSpace;
  readonly descriptors: DescriptorTable;
  readonly ring: SplitRing;
  readonly device: SplitDeviceQueue;
  /** A page for indirect tables, and its table. */
  readonly tableAddress: number;
  readonly table: DescriptorTable;
  /** A page of its own for buffers. */
  readonly buffer: number;
  readonly size: number;
  #availIdx = 0;

  constructor(options: RawDriverOptions = {}) {
    const { size = 8, eventIdx = false, indirect = true, byteOrder = 'little' } = options;
    const layout = splitLayout(size, 4);
    this.size = size;
    this.memory = new GuestMemory(new ArrayBuffer(64 * PAGE_SIZE));
    this.space = PHYSICAL_ADDRESS_SPACE.open(this.memory, new FaultLog(), PHYSICAL_ADDRESS_SPACE.state);
    const ring = this.memory.allocate(layout.totalBytes, layout.alignment);
    this.descriptors = openDescriptorTable(byteOrder, this.memory, ring);
    this.ring = openSplitRing(byteOrder, this.memory, ring + layout.driverOffset, ring + layout.deviceOffset, size);
    this.tableAddress = this.memory.allocate(PAGE_SIZE);
    this.table = openDescriptorTable(byteOrder, this.memory, this.tableAddress);
    this.buffer = this.memory.allocate(PAGE_SIZE);
    const words = Uint32Array.of(ring, 0, ring + layout.driverOffset, 0, ring + layout.deviceOffset, 0);
    this.device = new SplitDeviceQueue(this.space, { addresses: { size, words }, eventIdx, indirect, byteOrder });
  }

  /** Writes one direct descriptor over the buffer page. */
  describe(index: number, flags: number, next = 0, length = 16): void {
    this.descriptors.write(index, this.buffer, 0, length, flags, next);
  }

  /** Writes one entry of the indirect table over the buffer page. */
  describeInTable(index: number, flags: number, next = 0, length = 16): void {
    this.table.write(index, this.buffer, 0, length, flags, next);
  }

  /** Makes heads available and shows them. */
  publish(...heads: number[]): void {
    for (const head of heads) {
      this.ring.writeAvailEntry(this.#availIdx & (this.size - 1), head);
      this.#availIdx = (this.#availIdx + 1) & 0xffff;
    }
    this.ring.publishAvailIdx(this.#availIdx);
  }
}
