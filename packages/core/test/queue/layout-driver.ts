import { FaultLog, PHYSICAL_ADDRESS_SPACE, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import {
  advance,
  availableFlags,
  DescriptorChain,
  FIRST_POSITION,
  isUsed,
  openDescriptorTable,
  openDeviceQueue,
  openSplitRing,
  PackedRing,
  packedLayout,
  slotOf,
  splitLayout,
  VIRTQ_DESC_F_NEXT,
  type DeviceQueue,
  type QueueLayout,
} from '@virtio-platform/core/queue';

export interface LayoutDriverOptions {
  readonly size?: number;
  readonly eventIdx?: boolean;
  readonly inOrder?: boolean;
  /** Guest memory of this driver: several may share it. */
  readonly memory?: GuestMemory;
  readonly space?: DeviceAddressSpace;
}

/** One descriptor, without what the layout adds: NEXT, and the flags that make it available. */
export interface Segment {
  readonly address?: number;
  readonly length?: number;
  readonly flags?: number;
}

/**
 * A driver that writes whatever a test wants into a ring of either layout, and the device queue that has to cope with
 * it.
 */
export class LayoutDriver {
  readonly layout: QueueLayout;
  readonly memory: GuestMemory;
  readonly space: DeviceAddressSpace;
  readonly device: DeviceQueue;
  readonly chain: DescriptorChain;
  readonly size: number;
  /** Byte offsets of the three areas, a page for an indirect table and a page for buffers. */
  readonly descriptors: number;
  readonly driverArea: number;
  readonly deviceArea: number;
  readonly bytes: number;
  readonly table: number;
  readonly buffer: number;
  #availIdx = 0;
  #position = FIRST_POSITION;
  #usedIdx = 0;
  #usedPosition = FIRST_POSITION;

  constructor(layout: QueueLayout, options: LayoutDriverOptions = {}) {
    const { size = 8, eventIdx = false, inOrder = false } = options;
    this.layout = layout;
    this.size = size;
    this.memory = options.memory ?? new GuestMemory(new SharedArrayBuffer(64 * PAGE_SIZE));
    this.space = options.space ?? PHYSICAL_ADDRESS_SPACE.open(this.memory, new FaultLog(), undefined);
    const { driverOffset, deviceOffset, totalBytes } = layout === 'split' ? splitLayout(size, 4) : packedLayout(size);
    this.bytes = totalBytes;
    this.descriptors = this.memory.allocate(totalBytes);
    this.driverArea = this.descriptors + driverOffset;
    this.deviceArea = this.descriptors + deviceOffset;
    this.table = this.memory.allocate(PAGE_SIZE);
    this.buffer = this.memory.allocate(PAGE_SIZE);
    const words = Uint32Array.of(this.descriptors, 0, this.driverArea, 0, this.deviceArea, 0);
    const shared = { eventIdx, inOrder, indirect: true, byteOrder: 'little' } as const;
    this.device = openDeviceQueue(layout, this.space, { ...shared, addresses: { size, words } });
    this.chain = new DescriptorChain(this.device.longestChain);
  }

  /** Makes a list available as buffer `id`: of a split ring, its descriptors are `at`, or `id` and those behind it. */
  offer(id: number, segments: readonly Segment[], at?: readonly number[]): this {
    const places = at ?? segments.map((_, i) => (id + i) % this.size);
    for (const [i, { address = this.buffer, length = 16, flags = 0 }] of segments.entries()) {
      const next = i < segments.length - 1 ? VIRTQ_DESC_F_NEXT : 0;
      if (this.layout === 'packed') {
        const position = this.#position;
        const ring = new PackedRing(this.memory, this.descriptors, this.driverArea, this.deviceArea);
        ring.writeDescriptor(slotOf(position), address, 0, length, id);
        ring.publishFlags(slotOf(position), flags | next | availableFlags(position));
        this.#position = advance(position, 1, this.size);
      } else {
        const table = openDescriptorTable('little', this.memory, this.descriptors);
        table.write(places[i]!, address, 0, length, flags | next, places[i + 1] ?? 0);
      }
    }
    if (this.layout === 'packed') return this;
    const ring = openSplitRing('little', this.memory, this.driverArea, this.deviceArea, this.size);
    ring.writeAvailEntry(this.#availIdx & (this.size - 1), places[0]!);
    this.#availIdx = (this.#availIdx + 1) & 0xffff;
    ring.publishAvailIdx(this.#availIdx);
    return this;
  }

  /** Writes entry `i` of the indirect table; `next` means something in a split ring only. */
  entry(i: number, { address = this.buffer, length = 16, flags = 0 }: Segment, next = 0): this {
    const table = openDescriptorTable('little', this.memory, this.table);
    if (this.layout === 'packed') table.write(i, address, 0, length, 0, flags);
    else table.write(i, address, 0, length, flags, next);
    return this;
  }

  pop(): boolean {
    return this.device.pop(this.chain);
  }

  /**
   * Takes what the device returned next, believing it: id and bytes, or `undefined`. A packed ring goes on by one slot.
   */
  takeUsed(): [id: number, written: number] | undefined {
    if (this.layout === 'packed') {
      const ring = new PackedRing(this.memory, this.descriptors, this.driverArea, this.deviceArea);
      const slot = slotOf(this.#usedPosition);
      if (!isUsed(ring.flags(slot), this.#usedPosition)) return undefined;
      this.#usedPosition = advance(this.#usedPosition, 1, this.size);
      return [ring.id(slot), ring.length(slot)];
    }
    const ring = openSplitRing('little', this.memory, this.driverArea, this.deviceArea, this.size);
    if (ring.usedIdx() === this.#usedIdx) return undefined;
    const slot = this.#usedIdx & (this.size - 1);
    this.#usedIdx = (this.#usedIdx + 1) & 0xffff;
    return [ring.usedId(slot), ring.usedLength(slot)];
  }

  /** Writes the event by which the driver asks to be told, anything it likes. */
  poisonEvent(value: number): void {
    if (this.layout === 'packed') Atomics.store(this.memory.u32, this.driverArea / 4, value | (2 << 16));
    else Atomics.store(this.memory.u16, this.driverArea / 2 + 2 + this.size, value);
  }
}
