import { FaultLog, PHYSICAL_ADDRESS_SPACE, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { BouncedDmaMapping, BouncePools, DirectDmaMapping, type DmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import {
  advance,
  FIRST_POSITION,
  openSplitRing,
  PackedRing,
  ScatterList,
  slotOf,
  UsedBatch,
  usedFlags,
  VIRTQ_DESC_F_WRITE,
  type DescriptorChain,
  type DeviceQueue,
  type QueueLayout,
  type UsedLengthPolicy,
  type Virtqueue,
} from '@virtio-platform/core/queue';
import { PoisoningDmaMapping } from '@virtio-platform/conformance';
import { RingPair } from '@virtio-platform/conformance/testing';

export interface LayoutRingOptions {
  readonly size?: number;
  readonly indirect?: number;
  readonly eventIdx?: boolean;
  readonly usedLength?: UsedLengthPolicy;
  /** Buffers go through the bounce pool instead of a {@link PoisoningDmaMapping}. */
  readonly isBounced?: boolean;
}

/** Bytes of each segment of a request. */
export const SEGMENT = 100;
/** Bytes of the bounce pool: one segment of 128 slots. */
export const POOL_BYTES = 256 * 1024;

/** A driver's queue of either layout, a true device's end of it, and the ring for a device that lies. */
export class LayoutRing {
  readonly memory = new GuestMemory(new SharedArrayBuffer(4 << 20));
  readonly mapping: DmaMapping;
  /** The mapping, when it is one that can be told to fail. */
  readonly poisoning: PoisoningDmaMapping | undefined;
  #pools: BouncePools | undefined;
  readonly space: DeviceAddressSpace;
  readonly queue: Virtqueue;
  readonly device: DeviceQueue;
  readonly chain: DescriptorChain;
  /** Two pages: requests read from the first and are answered in the second. */
  readonly buffer: number;
  /** What is live and allocated while nothing is outstanding. */
  readonly idle: { readonly live: number; readonly allocated: number };
  readonly #layout: QueueLayout;
  readonly #size: number;
  #usedIdx = 0;
  #position = FIRST_POSITION;

  constructor(layout: QueueLayout, options: LayoutRingOptions = {}) {
    const { size = 8, indirect = 0, eventIdx = false, usedLength = 'strict', isBounced = false } = options;
    this.#layout = layout;
    this.#size = size;
    this.buffer = this.memory.allocate(2 * PAGE_SIZE);
    this.poisoning = isBounced ? undefined : new PoisoningDmaMapping(this.memory, { capacity: 64 });
    this.mapping = this.poisoning ?? this.#bounced();
    const faults = new FaultLog();
    this.space =
      this.poisoning?.openAddressSpace(faults) ?? PHYSICAL_ADDRESS_SPACE.open(this.memory, faults, undefined);
    const { memory, mapping, space } = this;
    const pair = new RingPair({ layout, memory, mapping, space, size, eventIdx, indirect, usedLength });
    this.queue = pair.queue;
    this.device = pair.device;
    this.chain = pair.chain;
    this.idle = { live: this.mapping.statistics.live, allocated: this.memory.allocated };
  }

  /** Byte offsets of the three areas. */
  areas(): [descriptor: number, driver: number, device: number] {
    const { words } = this.queue.addresses;
    const at = (i: number): number => this.space.borrow(words[i]!, words[i + 1]!, 4, 'write');
    return [at(0), at(2), at(4)];
  }

  add(readable = 1, writable = 1): number {
    const list = new ScatterList(readable + writable);
    for (let i = 0; i < readable; i++) list.addReadable(this.buffer + i * SEGMENT, SEGMENT);
    for (let i = 0; i < writable; i++) list.addWritable(this.buffer + PAGE_SIZE + i * SEGMENT, SEGMENT);
    return this.queue.add(list);
  }

  /** Adds one request and shows it. */
  send(readable = 1, writable = 1): number {
    const id = this.add(readable, writable);
    this.queue.publish();
    return id;
  }

  /** Puts a used buffer in the ring as a device does, true or not; `slots` is how far a packed ring goes on then. */
  answer(id: number, length: number, slots: number): void {
    const [descriptor, driver, device] = this.areas();
    if (this.#layout === 'split') {
      const ring = openSplitRing('little', this.memory, driver, device, this.#size);
      ring.writeUsedElement(this.#usedIdx & (this.#size - 1), id, length);
      this.#usedIdx = (this.#usedIdx + 1) & 0xffff;
      ring.publishUsedIdx(this.#usedIdx);
      return;
    }
    const ring = new PackedRing(this.memory, descriptor, driver, device);
    const slot = slotOf(this.#position);
    ring.writeUsed(slot, id, length);
    ring.publishFlags(slot, usedFlags(this.#position) | (length > 0 ? VIRTQ_DESC_F_WRITE : 0));
    this.#position = advance(this.#position, slots, this.#size);
  }

  /** Fills segment `i` of the buffer popped last as the device, and says whether it was let. */
  fill(i: number, byte: number, length: number = SEGMENT): boolean {
    const bytes = new Uint8Array(length).fill(byte);
    return this.space.write(this.chain.low[i]!, this.chain.high[i]!, bytes, 0, length);
  }

  take(capacity = 16): [id: number, written: number][] {
    const batch = new UsedBatch(capacity);
    const count = this.queue.takeUsed(batch);
    return Array.from({ length: count }, (_, i) => [batch.ids[i]!, batch.written[i]!]);
  }

  /** The driver's own bytes of writable segment `i`. */
  received(i = 0): number[] {
    const at = this.buffer + PAGE_SIZE + i * SEGMENT;
    return [...this.memory.u8.subarray(at, at + SEGMENT)];
  }

  /** The slots that buffers are copied through, of a ring that is bounced. */
  get pools(): BouncePools {
    if (this.#pools === undefined) throw new TypeError('this ring has no pool');
    return this.#pools;
  }

  #bounced(): DmaMapping {
    const inner = new DirectDmaMapping(this.memory, { path: 'identity', capacity: 64 });
    this.#pools = new BouncePools({ bytes: POOL_BYTES }, (bytes) => inner.allocateCoherent(bytes, PAGE_SIZE));
    return new BouncedDmaMapping(this.memory, this.pools, inner, 64);
  }
}
