import { DESCRIPTOR_SIZE, RING_EVENT_SIZE, slotOf, type QueueLayout } from '@virtio-platform/core/queue';
import type { LoggedAddressSpace } from './logged-address-space.ts';

/** What of a ring is logged, and where. */
export interface RingLogOptions {
  readonly layout: QueueLayout;
  /** Entries. */
  readonly size: number;
  /** Low and high words of the device addresses of descriptor, driver and device area. */
  readonly words: readonly number[];
  readonly space: LoggedAddressSpace;
  /** Where the device area is for the log, as low and high word; `undefined` while the ring is not logged. */
  readonly deviceArea: () => readonly [low: number, high: number] | undefined;
}

/** Bytes of le16 flags and le16 idx, in front of the elements of a used ring; and of an element. */
const USED_HEADER = 4;
const USED_ELEMENT = 8;
const EVENT_BYTES = 2;

/** Marks what the device writes to a ring, once it was written. */
export class RingLog {
  readonly #options: RingLogOptions;
  /** The position up to which used entries were marked. */
  #position: number;

  /** `position` is where the device begins. */
  constructor(options: RingLogOptions, position: number) {
    this.#options = options;
    this.#position = position;
  }

  /** Used entries were written, up to a position. */
  published(position: number): void {
    const { layout, size, words, space, deviceArea } = this.#options;
    const [from, to] = [this.#position, position];
    this.#position = position;
    const area = deviceArea();
    if (area === undefined) return;
    const isSplit = layout === 'split';
    const [first, bytes] = isSplit ? [USED_HEADER, USED_ELEMENT] : [0, DESCRIPTOR_SIZE];
    const start = isSplit ? from & (size - 1) : slotOf(from);
    const end = isSplit ? to & (size - 1) : slotOf(to);
    const mark = (entry: number, last: number): void => {
      if (last <= entry) return;
      const [offset, length] = [first + bytes * entry, bytes * (last - entry)];
      if (isSplit) space.markRing(...moved(...area, offset), length);
      else space.markBorrowed(...moved(words[0]!, words[1]!, offset), length);
    };
    if (end > start) mark(start, end);
    else {
      mark(start, size);
      mark(0, end);
    }
    if (isSplit) space.markRing(...area, USED_HEADER);
    space.signalLog();
  }

  /** The device said whether it wants to be notified. */
  asked(): void {
    const { layout, size, space, deviceArea } = this.#options;
    const area = deviceArea();
    if (area === undefined) return;
    if (layout === 'packed') return space.markRing(...area, RING_EVENT_SIZE);
    space.markRing(...area, USED_HEADER);
    space.markRing(...moved(...area, USED_HEADER + USED_ELEMENT * size), EVENT_BYTES);
  }
}

/** Low and high word of an address further on. */
function moved(low: number, high: number, by: number): [low: number, high: number] {
  const sum = low + by;
  return [sum >>> 0, sum >= 2 ** 32 ? high + 1 : high];
}
