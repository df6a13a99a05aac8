import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import {
  DescriptorChain,
  restoreDeviceQueue,
  type DeviceQueue,
  type QueueLayout,
  type ResubmittedBuffer,
} from '@virtio-platform/core/queue';
import type { QueueJournal } from './queue-journal.ts';

/** Where a ring is and how its driver uses it. */
export interface RingSetup {
  readonly layout: QueueLayout;
  /** Entries. */
  readonly size: number;
  /** Low and high words of the device addresses of descriptor, driver and device area. */
  readonly words: readonly number[];
  /** Where the device goes on: the next used entry. */
  readonly position: number;
  readonly eventIdx: boolean;
  readonly indirect: boolean;
  readonly inOrder: boolean;
  /** Entries of an indirect table that it takes at least. */
  readonly tableEntries: number;
  /** Is told what the queue does; `undefined` where there is no record and no log. */
  readonly journal: QueueJournal | undefined;
  /** Buffers to take first: another process had them. */
  readonly resubmitted: readonly ResubmittedBuffer[];
}

/** Where a queue stopped. */
export interface QueueEnd {
  /** The next used entry: an index of a split ring, a slot and its wrap counter of a packed one. */
  readonly used: number;
  /** The next available entry. A device that goes on there leaves out the buffers that were kept. */
  readonly available: number;
  /** Buffers that the device half had and did not return. */
  readonly kept: number;
}

/** Bits of the position of a packed ring: a slot, below its wrap counter. */
const SLOT = 0x7fff;
const WRAP = 0x8000;

/** One queue of a device that is served: the device's end of the ring, and its count of buffers. */
export class ServedQueue {
  readonly queue: DeviceQueue;
  readonly chain: DescriptorChain;
  /** Whether the device works on it: a ring that was stopped, or that is broken, it leaves alone. */
  isEnabled = false;
  /** Buffers that were taken. */
  popped = 0;
  readonly #setup: RingSetup;
  /** By id: when the buffer was taken, in the count of {@link popped}. */
  readonly #poppedAt: Uint32Array;

  /**
   * `watch` stands in front of the device's end. Throws `RangeError` for a ring that its layout forbids, and
   * {@link CodedError} `ERR_QUEUE_STATE`.
   */
  constructor(space: DeviceAddressSpace, setup: RingSetup, watch: (queue: DeviceQueue) => DeviceQueue = (it) => it) {
    const { layout, size, words, position, ...options } = setup;
    this.#setup = setup;
    const state = { layout, size, words: [...words], used: position, inFlight: [] };
    this.queue = watch(restoreDeviceQueue(state, space, options));
    this.chain = new DescriptorChain(this.queue.longestChain);
    this.#poppedAt = new Uint32Array(size);
  }

  /** Takes the next buffer into {@link chain}. Hot. */
  pop(): boolean {
    if (!this.queue.pop(this.chain)) return false;
    this.#poppedAt[this.chain.head] = this.popped++;
    return true;
  }

  /** Asks the driver for a notification. Returns false where buffers arrived already. Hot. */
  enableNotifications(): boolean {
    const isQuiet = this.queue.enableNotifications();
    this.#setup.journal?.asked();
    return isQuiet;
  }

  /** Hot. */
  disableNotifications(): void {
    this.queue.disableNotifications();
    this.#setup.journal?.asked();
  }

  /**
   * Where the queue stops, once everything that was returned is shown. The buffers that the device half kept are taken
   * again by a device that goes on at `available`, where they are the last ones that were taken.
   */
  end(): QueueEnd {
    if (this.queue.broken !== undefined)
      return { used: this.#setup.position, available: this.#setup.position, kept: 0 };
    this.queue.flush();
    const { used, inFlight } = this.queue.save();
    const kept = inFlight.length;
    const areLast = inFlight.every(({ id }) => (this.popped - this.#poppedAt[id]!) >>> 0 <= kept);
    const slots = inFlight.reduce((sum, buffer) => sum + buffer.slots, 0);
    return { used, available: areLast ? used : this.#after(used, slots), kept };
  }

  #after(position: number, slots: number): number {
    if (this.#setup.layout === 'split') return (position + slots) & 0xffff;
    const slot = (position & SLOT) + slots;
    const wrap = position & WRAP;
    return slot < this.#setup.size ? slot | wrap : (slot - this.#setup.size) | (wrap ^ WRAP);
  }
}
