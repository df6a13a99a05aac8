import type { DeviceAddressSpace } from '../address-space/device-address-space.ts';
import { BorrowedRing } from './borrowed-ring.ts';
import type { BrokenCode, BrokenReason } from './broken-reason.ts';
import type { ByteOrder } from './byte-order.ts';
import type { DescriptorChain } from './descriptor-chain.ts';
import { openDescriptorTable, type DescriptorTable } from './descriptor-table.ts';
import type { DeviceQueueState } from './device-queue-state.ts';
import type { DeviceQueue } from './device-queue.ts';
import { InFlightOrder } from './in-flight-order.ts';
import { needsNotification, VIRTQ_AVAIL_F_NO_INTERRUPT, VIRTQ_USED_F_NO_NOTIFY } from './notification.ts';
import { openSplitRing } from './open-split-ring.ts';
import { DESCRIPTOR_SIZE, VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_NEXT, VIRTQ_DESC_F_WRITE } from './split-layout.ts';
import type { SplitRing } from './split-ring.ts';
import type { QueueAddresses } from './virtqueue.ts';

export interface SplitDeviceQueueOptions {
  readonly addresses: QueueAddresses;
  readonly eventIdx: boolean;
  /** Whether INDIRECT_DESC was negotiated. */
  readonly indirect: boolean;
  /** Whether IN_ORDER was negotiated: buffers go back in the order in which they were popped. */
  readonly inOrder?: boolean;
  /** The barrier to use where ORDER_PLATFORM was negotiated: `DmaMapping.barrier` of the driver's end. */
  readonly barrier?: (() => void) | undefined;
  readonly byteOrder: ByteOrder;
}

/**
 * The device's end of a split virtqueue (specification 1.4 section 2.7). Believes nothing of the driver: every index is
 * checked, every walk is bounded by the queue size, every field is read once, and an indirect table is copied before use.
 */
export class SplitDeviceQueue implements DeviceQueue {
  readonly size: number;
  readonly #space: DeviceAddressSpace;
  readonly #options: SplitDeviceQueueOptions;
  readonly #isInFlight: Uint8Array;
  readonly #order: InFlightOrder | undefined;
  readonly #borrowed: BorrowedRing;
  readonly #tableBytes: Uint8Array;
  readonly #table: DescriptorTable;
  #ring: SplitRing | undefined;
  #descriptors: DescriptorTable | undefined;
  #lastAvailIdx = 0;
  #availIdx = 0;
  #usedIdx = 0;
  #flushedIdx = 0;
  /** With IN_ORDER: the used element not written yet, because a later buffer may take its place. */
  readonly #last = { id: -1, idx: 0, written: 0, isFull: false };
  #inFlight = 0;
  #broken: BrokenReason | undefined;

  /** Throws `RangeError` for a size or an address that section 2.7.1 forbids. `restored` is what another one saved, checked. */
  constructor(space: DeviceAddressSpace, options: SplitDeviceQueueOptions, restored?: DeviceQueueState) {
    const { size, words } = options.addresses;
    if (!(size >= 1) || size > 32768 || (size & (size - 1)) !== 0)
      throw new RangeError(`queue size ${size} is no power of two`);
    if (words[0]! % 16 !== 0 || words[2]! % 2 !== 0 || words[4]! % 4 !== 0)
      throw new RangeError('a queue area is misaligned');
    this.size = size;
    this.#space = space;
    this.#options = options;
    this.#borrowed = new BorrowedRing(space, options.addresses, 'read', 6 + 2 * size, 6 + 8 * size);
    this.#isInFlight = new Uint8Array(size);
    this.#order = options.inOrder === true ? new InFlightOrder(size) : undefined;
    const table = new ArrayBuffer(size * DESCRIPTOR_SIZE);
    this.#tableBytes = new Uint8Array(table);
    this.#table = openDescriptorTable(
      options.byteOrder,
      { u16: new Uint16Array(table), u32: new Uint32Array(table) },
      0,
    );
    if (restored !== undefined) this.#restore(restored);
  }

  get broken(): BrokenReason | undefined {
    return this.#broken;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  pop(chain: DescriptorChain): boolean {
    const ring = this.#reach();
    if (ring === undefined) return false;
    if (this.#availIdx === this.#lastAvailIdx && !this.#readAvailIdx(ring)) return false;
    const head = ring.availEntry(this.#lastAvailIdx & (this.size - 1));
    if (head >= this.size)
      return this.#break('descriptor-index-out-of-range', `available entry ${head} in a queue of ${this.size}`);
    if (this.#isInFlight[head] === 1)
      return this.#break('descriptor-already-in-flight', `descriptor ${head} is in flight`);
    chain.clear(head);
    if (!this.#walk(chain, head)) return false;
    this.#lastAvailIdx = (this.#lastAvailIdx + 1) & 0xffff;
    this.#isInFlight[head] = 1;
    this.#inFlight++;
    this.#order?.add(head, chain.writableBytes);
    return true;
  }

  push(head: number, written: number): void {
    if (this.#isInFlight[head] !== 1) throw new RangeError(`descriptor ${head} is not in flight`);
    const isFull = this.#order?.take(head, written) ?? false;
    this.#isInFlight[head] = 0;
    this.#inFlight--;
    const ring = this.#reach();
    if (ring === undefined) return;
    if (this.#order === undefined) ring.writeUsedElement(this.#usedIdx & (this.size - 1), head, written);
    else this.#pushInOrder(ring, head, written, isFull);
    this.#usedIdx = (this.#usedIdx + 1) & 0xffff;
  }

  flush(): boolean {
    const previous = this.#flushedIdx;
    const current = this.#usedIdx;
    if (current === previous) return false;
    const ring = this.#reach();
    if (ring === undefined) return false;
    this.#writeLast(ring);
    ring.publishUsedIdx(current);
    this.#flushedIdx = current;
    if (this.#options.eventIdx) return needsNotification(ring.usedEvent(), current, previous);
    return (ring.availFlags() & VIRTQ_AVAIL_F_NO_INTERRUPT) === 0;
  }

  enableNotifications(): boolean {
    const ring = this.#reach();
    if (ring === undefined) return true;
    if (this.#options.eventIdx) ring.writeAvailEvent(this.#lastAvailIdx);
    else ring.writeUsedFlags(0);
    return ring.availIdx() === this.#lastAvailIdx;
  }

  /** With EVENT_IDX the flag must stay 0 (section 2.7.10.2): the event index simply stays behind. */
  disableNotifications(): void {
    if (!this.#options.eventIdx) this.#reach()?.writeUsedFlags(VIRTQ_USED_F_NO_NOTIFY);
  }

  save(): DeviceQueueState {
    if (this.#broken !== undefined) throw new TypeError('the queue is broken');
    if (this.#usedIdx !== this.#flushedIdx) throw new TypeError('a buffer was pushed and not flushed');
    const { size, words } = this.#options.addresses;
    const heads = [...this.#isInFlight.keys()].filter((head) => this.#isInFlight[head] === 1);
    const inFlight = this.#order?.entries() ?? heads.map((id) => ({ id, room: 0 }));
    return {
      layout: 'split',
      size,
      words: [...words],
      used: this.#usedIdx,
      inFlight: inFlight.map((buffer) => ({ ...buffer, slots: 1 })),
    };
  }

  #restore({ used, inFlight }: DeviceQueueState): void {
    for (const { id, room } of inFlight) {
      this.#isInFlight[id] = 1;
      this.#order?.add(id, room);
    }
    this.#inFlight = inFlight.length;
    this.#usedIdx = this.#flushedIdx = used;
    this.#lastAvailIdx = this.#availIdx = (used + inFlight.length) & 0xffff;
  }

  /** One used element stands for a batch: in the slot of its first buffer, with the id of its last (section 2.7.9). */
  #pushInOrder(ring: SplitRing, id: number, written: number, isFull: boolean): void {
    const last = this.#last;
    if (last.id >= 0 && !last.isFull) this.#writeLast(ring);
    if (last.id < 0) last.idx = this.#usedIdx;
    last.id = id;
    last.written = written;
    last.isFull = isFull;
  }

  #writeLast(ring: SplitRing): void {
    const last = this.#last;
    if (last.id < 0) return;
    ring.writeUsedElement(last.idx & (this.size - 1), last.id, last.written);
    last.id = -1;
  }

  #reach(): SplitRing | undefined {
    if (this.#broken !== undefined) return undefined;
    const result = this.#borrowed.reach();
    if (result === 'same') return this.#ring;
    if (result === 'unreachable') {
      this.#break('ring-unreachable', 'the rings are not reachable');
      return undefined;
    }
    const { descriptor, driver, device } = this.#borrowed;
    const { byteOrder, barrier } = this.#options;
    this.#descriptors = openDescriptorTable(byteOrder, this.#space.memory, descriptor);
    return (this.#ring = openSplitRing(byteOrder, this.#space.memory, driver, device, this.size, barrier));
  }

  #readAvailIdx(ring: SplitRing): boolean {
    const idx = ring.availIdx();
    const arrived = (idx - this.#lastAvailIdx) & 0xffff;
    if (arrived > this.size - this.#inFlight) {
      return this.#break(
        'available-index-out-of-range',
        `avail.idx ${idx} after ${this.#lastAvailIdx}, ${this.#inFlight} in flight`,
      );
    }
    this.#availIdx = idx;
    return arrived > 0;
  }

  /** Copies a chain, direct descriptors first, then at most one indirect table. */
  #walk(chain: DescriptorChain, head: number): boolean {
    const descriptors = this.#descriptors!;
    for (let index = head; ;) {
      const flags = descriptors.flags(index);
      if ((flags & VIRTQ_DESC_F_INDIRECT) !== 0) {
        if (!this.#options.indirect || (flags & VIRTQ_DESC_F_NEXT) !== 0) {
          return this.#break('indirect-table-invalid', `descriptor ${index} has flags 0x${flags.toString(16)}`);
        }
        return this.#walkTable(chain, descriptors.low(index), descriptors.high(index), descriptors.length(index));
      }
      if (!this.#append(chain, descriptors, index, flags)) return false;
      if ((flags & VIRTQ_DESC_F_NEXT) === 0) return true;
      index = descriptors.next(index);
      if (index >= this.size)
        return this.#break('descriptor-index-out-of-range', `next ${index} in a queue of ${this.size}`);
    }
  }

  #walkTable(chain: DescriptorChain, low: number, high: number, bytes: number): boolean {
    const entries = bytes / DESCRIPTOR_SIZE;
    if (!Number.isInteger(entries) || entries === 0 || entries > this.size) {
      return this.#break('indirect-table-invalid', `a table of ${bytes} bytes in a queue of ${this.size}`);
    }
    if (!this.#space.read(low, high, this.#tableBytes, 0, bytes)) {
      return this.#break('ring-unreachable', 'an indirect table is not reachable');
    }
    for (let index = 0, seen = 0; ; seen++) {
      if (seen === entries) return this.#break('descriptor-chain-too-long', `an indirect table of ${entries} loops`);
      const flags = this.#table.flags(index);
      if ((flags & VIRTQ_DESC_F_INDIRECT) !== 0)
        return this.#break('indirect-table-invalid', 'a table refers to a table');
      if (!this.#append(chain, this.#table, index, flags)) return false;
      if ((flags & VIRTQ_DESC_F_NEXT) === 0) return true;
      index = this.#table.next(index);
      if (index >= entries)
        return this.#break('descriptor-index-out-of-range', `next ${index} in a table of ${entries}`);
    }
  }

  #append(chain: DescriptorChain, table: DescriptorTable, index: number, flags: number): boolean {
    const length = table.length(index);
    const isWritable = (flags & VIRTQ_DESC_F_WRITE) !== 0;
    const problem = chain.append(table.low(index), table.high(index), length, isWritable, this.size);
    return (
      problem === undefined || this.#break(problem, `descriptor ${index} of ${length} bytes, segment ${chain.count}`)
    );
  }

  #break(code: BrokenCode, detail: string): false {
    this.#broken = { code, detail };
    return false;
  }
}
