import type { DeviceAddressSpace } from '../../address-space/device-address-space.ts';
import type { DescriptorChain } from '../device/descriptor-chain.ts';
import { DeviceEnd, type DeviceEndLayout } from '../device/device-end.ts';
import type { DeviceQueueOptions } from '../device/device-queue.ts';
import type { DeviceQueueState } from '../device/device-queue-state.ts';
import {
  openDescriptorTable,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_WRITE,
  type DescriptorTable,
} from '../ring/descriptor-table.ts';
import { needsNotification } from '../ring/notification.ts';
import { VIRTQ_AVAIL_F_NO_INTERRUPT, VIRTQ_USED_F_NO_NOTIFY } from './split-layout.ts';
import { openSplitRing, type SplitRing } from './split-ring.ts';

// In the loops: an imported constant is looked up, and checked for being there, each time.
const INDIRECT = VIRTQ_DESC_F_INDIRECT;
const NEXT = VIRTQ_DESC_F_NEXT;
const WRITE = VIRTQ_DESC_F_WRITE;

/**
 * The device's end of a split virtqueue (specification 1.4 section 2.7). Trusts nothing of the driver: every index is
 * checked, every walk is bounded by the queue size, every field is read once, and an indirect table is copied before
 * use.
 */
export class SplitDeviceQueue extends DeviceEnd<SplitRing> {
  #descriptors: DescriptorTable | undefined;
  /** Available index of the next buffer to pop. */
  #lastAvailIdx = 0;
  /** The driver's available index when it was last read. */
  #availIdx = 0;
  /** What the ring says to the driver: notifications are enabled, or were disabled at this available index. */
  #isEnabled = true;
  #disabledAt = 0;
  /** The event index in the ring, with EVENT_IDX. */
  #event = 0;

  /** Throws `RangeError` for a size or an address that section 2.7.1 forbids. `restored` is a checked saved queue. */
  constructor(space: DeviceAddressSpace, options: DeviceQueueOptions, restored?: DeviceQueueState) {
    super(space, options, splitLayoutOf(options), restored);
    this.#lastAvailIdx = this.firstAvailable;
    this.#availIdx = this.#lastAvailIdx;
  }

  pop(chain: DescriptorChain): boolean {
    const ring = this.reach();
    if (ring === undefined) return false;
    if (this.resubmitted !== undefined) return this.resubmit(chain, ({ id }) => this.#walk(chain, id));
    if (this.#availIdx === this.#lastAvailIdx && !this.#readAvailIdx(ring)) return false;
    const head = ring.availEntry(this.#lastAvailIdx & (this.size - 1));
    if (head >= this.size)
      return this.break('descriptor-index-out-of-range', `available entry ${head} in a queue of ${this.size}`);
    if (this.slots[head] !== 0) return this.break('descriptor-already-in-flight', `descriptor ${head} is in flight`);
    chain.clear(head);
    if (!this.#walk(chain, head)) return false;
    this.#lastAvailIdx = (this.#lastAvailIdx + 1) & 0xffff;
    this.begin(head, 1, chain.writableBytes);
    if (this.popsToTell > 0) this.notePopped(chain);
    this.journal?.taken(head);
    return true;
  }

  enableNotifications(): boolean {
    const ring = this.reach();
    if (ring === undefined) return true;
    this.#isEnabled = true;
    this.#event = this.#lastAvailIdx;
    if (this.options.eventIdx) ring.writeAvailEvent(this.#event);
    else ring.writeUsedFlags(0);
    return ring.availIdx() === this.#lastAvailIdx;
  }

  /** With EVENT_IDX the flag must stay 0 (section 2.7.10.2): the event index simply stays behind. */
  disableNotifications(): void {
    this.#isEnabled = false;
    this.#disabledAt = this.#availIdx;
    if (!this.options.eventIdx) this.reach()?.writeUsedFlags(VIRTQ_USED_F_NO_NOTIFY);
  }

  awaitsNotification(): boolean {
    if (!this.#isEnabled) return false;
    const ring = this.reach();
    return ring !== undefined && ring.availIdx() !== this.#lastAvailIdx;
  }

  suppressesNotifications(): boolean {
    if (this.#isEnabled) return false;
    if (!this.options.eventIdx) return true;
    const ring = this.reach();
    return ring !== undefined && !needsNotification(this.#event, ring.availIdx(), this.#disabledAt);
  }

  protected openRing(descriptor: number, driver: number, device: number): SplitRing {
    const { byteOrder = 'little' } = this.options;
    this.#descriptors = openDescriptorTable(byteOrder, this.space.memory, descriptor);
    return openSplitRing(byteOrder, this.space.memory, driver, device, this.size);
  }

  protected positionAfter(position: number, slots: number): number {
    return (position + slots) & 0xffff;
  }

  protected writeUsed(ring: SplitRing, position: number, id: number, written: number): void {
    ring.writeUsedElement(position & (this.size - 1), id, written);
  }

  protected publishUsed(ring: SplitRing, moved: number): boolean {
    const current = this.usedPosition;
    ring.publishUsedIdx(current);
    if (this.options.eventIdx) return needsNotification(ring.usedEvent(), current, current - moved);
    return (ring.availFlags() & VIRTQ_AVAIL_F_NO_INTERRUPT) === 0;
  }

  #readAvailIdx(ring: SplitRing): boolean {
    const idx = ring.availIdx();
    const arrived = (idx - this.#lastAvailIdx) & 0xffff;
    if (arrived > this.size - this.inFlight) {
      const inFlight = `${this.inFlight} in flight`;
      return this.break('available-index-out-of-range', `avail.idx ${idx} after ${this.#lastAvailIdx}, ${inFlight}`);
    }
    this.#availIdx = idx;
    return arrived > 0;
  }

  /**
   * Copies a chain, direct descriptors first, then at most one indirect table. Returns false where it broke the queue.
   */
  #walk(chain: DescriptorChain, head: number): boolean {
    const { size } = this;
    const descriptors = this.#descriptors!;
    for (let index = head; ;) {
      const tail = descriptors.flagsAndNext(index);
      const length = descriptors.length(index);
      if ((tail & INDIRECT) !== 0) {
        if (!this.options.indirect || (tail & NEXT) !== 0) {
          return this.break(
            'indirect-table-invalid',
            `descriptor ${index} has flags 0x${(tail & 0xffff).toString(16)}`,
          );
        }
        return this.#walkTable(chain, descriptors.low(index), descriptors.high(index), length);
      }
      const low = descriptors.low(index);
      const problem = chain.append(low, descriptors.high(index), length, (tail & WRITE) !== 0, size);
      if (problem !== undefined) return this.breakAt(problem, index, length, chain);
      if ((tail & NEXT) === 0) return true;
      index = tail >>> 16;
      if (index >= size) return this.break('descriptor-index-out-of-range', `next ${index} in a queue of ${size}`);
    }
  }

  #walkTable(chain: DescriptorChain, tableLow: number, tableHigh: number, bytes: number): boolean {
    const entries = this.copyTable(tableLow, tableHigh, bytes);
    if (entries === 0) return false;
    const { table, longestChain } = this;
    for (let index = 0, seen = 0; ; seen++) {
      if (seen === entries) return this.break('descriptor-chain-too-long', `an indirect table of ${entries} loops`);
      const tail = table.flagsAndNext(index);
      if ((tail & INDIRECT) !== 0) return this.break('indirect-table-invalid', 'a table refers to a table');
      const length = table.length(index);
      const low = table.low(index);
      const problem = chain.append(low, table.high(index), length, (tail & WRITE) !== 0, longestChain);
      if (problem !== undefined) return this.breakAt(problem, index, length, chain);
      if ((tail & NEXT) === 0) return true;
      index = tail >>> 16;
      if (index >= entries)
        return this.break('descriptor-index-out-of-range', `next ${index} in a table of ${entries}`);
    }
  }
}

/** Checks size and addresses. Throws `RangeError`. */
function splitLayoutOf({ addresses: { size, words }, byteOrder = 'little' }: DeviceQueueOptions): DeviceEndLayout {
  if (!(size >= 1) || size > 32768 || (size & (size - 1)) !== 0)
    throw new RangeError(`queue size ${size} is not a power of two from 1 to 32768`);
  if (words[0]! % 16 !== 0 || words[2]! % 2 !== 0 || words[4]! % 4 !== 0)
    throw new RangeError('a queue area is misaligned');
  const [driverBytes, deviceBytes] = [6 + 2 * size, 6 + 8 * size];
  return { layout: 'split', byteOrder, descriptorAccess: 'read', driverBytes, deviceBytes, firstPosition: 0 };
}
