import { ringOptions } from '@virtio-platform/conformance/testing';
import { FaultLog, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import {
  openDescriptorTable,
  openSplitRing,
  ScatterList,
  splitLayout,
  SplitVirtqueue,
  UsedBatch,
  type DescriptorTable,
  type SplitRing,
  type UsedLengthPolicy,
} from '@virtio-platform/core/queue';
import { PoisoningDmaMapping } from '@virtio-platform/conformance';

export interface HostileRingOptions {
  readonly size?: number;
  readonly indirect?: number;
  readonly eventIdx?: boolean;
  readonly usedLength?: UsedLengthPolicy;
  readonly firstAddress?: number;
}

/** Bytes of the readable and of the writable segment of a request. */
export const SEGMENT_BYTES = 100;

/**
 * A driver's queue over a {@link PoisoningDmaMapping}, and its shared ring opened for writing whatever a device could:
 * the used ring, and also all that is the driver's.
 */
export class HostileRing {
  readonly memory = new GuestMemory(new ArrayBuffer(1 << 20));
  readonly mapping: PoisoningDmaMapping;
  readonly space: DeviceAddressSpace;
  readonly queue: SplitVirtqueue;
  readonly ring: SplitRing;
  readonly descriptors: DescriptorTable;
  /** The driver's own buffers; a request reads from the first and is answered in the second. */
  readonly buffer: number;
  readonly batch: UsedBatch;
  readonly #size: number;
  #usedIdx = 0;

  constructor(options: HostileRingOptions = {}) {
    const { size = 8, indirect = 0, eventIdx = false, usedLength = 'strict', firstAddress = 2 ** 40 } = options;
    this.#size = size;
    this.mapping = new PoisoningDmaMapping(this.memory, { capacity: 64, firstAddress });
    this.space = this.mapping.openAddressSpace(new FaultLog());
    this.buffer = this.memory.allocate(2 * PAGE_SIZE);
    this.batch = new UsedBatch(size);
    this.queue = new SplitVirtqueue(this.memory, this.mapping, ringOptions({ size, eventIdx, indirect, usedLength }));
    const [descriptor, driver, device] = this.areas();
    this.ring = openSplitRing('little', this.memory, driver, device, size);
    this.descriptors = openDescriptorTable('little', this.memory, descriptor);
  }

  /** Where the three areas lie in guest memory. */
  areas(): [descriptor: number, driver: number, device: number] {
    const { words } = this.queue.addresses;
    return [
      this.space.borrow(words[0]!, words[1]!, 16, 'write'),
      this.space.borrow(words[2]!, words[3]!, 6, 'write'),
      this.space.borrow(words[4]!, words[5]!, 6, 'write'),
    ];
  }

  /**
   * Overwrites all that is the driver's: the descriptor table, the available ring with its flags and index, and
   * used_event.
   */
  scribble(byte: number): void {
    const [descriptor, driver] = this.areas();
    const { descriptorBytes, driverBytes } = splitLayout(this.#size, 4);
    this.memory.u8.fill(byte, descriptor, descriptor + descriptorBytes);
    this.memory.u8.fill(byte, driver, driver + driverBytes);
  }

  /** Adds one request of a readable and a writable segment, or of as many readable ones as asked for. */
  add(readable = 1, writable = 1): number {
    const list = new ScatterList(readable + writable);
    for (let i = 0; i < readable; i++) list.addReadable(this.buffer, SEGMENT_BYTES);
    for (let i = 0; i < writable; i++) list.addWritable(this.buffer + PAGE_SIZE + i * SEGMENT_BYTES, SEGMENT_BYTES);
    return this.queue.add(list);
  }

  /** Adds one request and shows it. */
  send(readable = 1, writable = 1): number {
    const id = this.add(readable, writable);
    this.queue.publish();
    return id;
  }

  /** Puts used elements in the ring as a device does, true or not. */
  answer(...elements: [id: number, length: number][]): void {
    for (const [id, length] of elements) {
      this.ring.writeUsedElement(this.#usedIdx & (this.#size - 1), id, length);
      this.#usedIdx = (this.#usedIdx + 1) & 0xffff;
    }
    this.ring.publishUsedIdx(this.#usedIdx);
  }

  /** Takes what came back, as pairs of id and bytes. */
  take(): [id: number, written: number][] {
    const taken = this.queue.takeUsed(this.batch);
    return Array.from({ length: taken }, (_, i) => [this.batch.ids[i]!, this.batch.written[i]!]);
  }

  /** The device writes to the writable segment that descriptor `index` tells of. */
  deviceWrites(index: number, byte: number, length: number): boolean {
    const bytes = new Uint8Array(length).fill(byte);
    return this.space.write(this.descriptors.low(index), this.descriptors.high(index), bytes, 0, length);
  }

  /** The driver's own bytes of the first writable segment. */
  received(): Uint8Array {
    return this.memory.u8.slice(this.buffer + PAGE_SIZE, this.buffer + PAGE_SIZE + SEGMENT_BYTES);
  }
}
