import type { AddressTranslation } from '@virtio-platform/core/address-space';
import { PeerEvent } from '@virtio-platform/host';
import { LOG_PAGE_BYTES, logEnd, markPages, type SharedArea } from '@virtio-platform/vhost-user';
import { FrontEndFile } from '../memory/front-end-file.ts';
import type { ServedMemory } from '../memory/served-memory.ts';

const WORD = 2 ** 32;

/** Finds memory for a log: a translation that asks nothing of the front-end where it knows an address. */
export interface LoggedTranslation {
  readonly translation: AddressTranslation;
  /** Whether its addresses are I/O virtual ones. */
  readonly isIoVirtual: boolean;
  /** Whether an address is translated without asking. */
  readonly knows: (low: number, high: number) => boolean;
}

/**
 * The log of the pages that the device writes to, in memory that the front-end gave: a bit for each page of guest
 * memory (vhost-user, "Migration"). A page is marked after it was written to, so that the front-end, which takes the
 * mark away and copies the page then, has what was written.
 */
export class DirtyLog {
  readonly #memory: ServedMemory;
  readonly #tell: (text: string) => void;
  #file: FrontEndFile | undefined;
  #event: PeerEvent | undefined;
  #isTold = false;
  /** Whether pages were marked since the last {@link signal}. */
  #isMarked = false;
  /** Whether writes to buffers are logged: the front-end accepted VHOST_F_LOG_ALL. */
  isOn = false;

  /** `tell` is given what is wrong with the log that the front-end gave, once for each. */
  constructor(memory: ServedMemory, tell: (text: string) => void) {
    this.#memory = memory;
    this.#tell = tell;
  }

  /** Marks in another file from here on. Takes the descriptor over. Throws {@link FrontEndViolation}. */
  moveTo(area: SharedArea, descriptor: number): void {
    const file = new FrontEndFile(area, descriptor, 'a log of dirty pages');
    this.#file?.dispose();
    this.#file = file;
    this.#isTold = false;
  }

  /** Notifies through a descriptor where pages were marked. Takes it over; `undefined` ends that. */
  signalWith(descriptor: number | undefined): void {
    this.#event?.dispose();
    this.#event = undefined;
    if (descriptor !== undefined) this.#event = new PeerEvent(descriptor, 'sends');
  }

  /** Marks `length` bytes from a device address on. Hot while a log is on. */
  mark({ translation, knows }: LoggedTranslation, low: number, high: number, length: number): void {
    for (let done = 0; done < length;) {
      const sum = low + done;
      const [atLow, atHigh] = [sum >>> 0, sum >= WORD ? high + 1 : high];
      if (!knows(atLow, atHigh)) return;
      const at = translation.translate(atLow, atHigh, 'write');
      if (at < 0) return;
      const run = Math.min(translation.run, length - done);
      this.#markAt(at, run);
      done += run;
    }
  }

  /**
   * Marks `length` bytes from an address of the log on, which need not be one of memory: a used ring may have an
   * address of its own there (vhost-user, "Migration").
   */
  markAddress(low: number, high: number, length: number): void {
    this.#markPages(high * WORD + low, length);
  }

  /** Notifies the front-end where pages were marked since the last call. */
  signal(): void {
    if (!this.#isMarked) return;
    this.#isMarked = false;
    this.#event?.signal();
  }

  dispose(): void {
    this.isOn = false;
    this.#file?.dispose();
    this.#file = undefined;
    this.signalWith(undefined);
  }

  #markAt(at: number, length: number): void {
    const guest = this.#memory.guestOf(at);
    if (guest >= 0) this.#markPages(guest, length);
  }

  #markPages(guest: number, length: number): void {
    this.#isMarked = true;
    const log = this.#file?.bytes;
    if (log !== undefined && markPages(log, guest, length)) return;
    if (this.#isTold) return;
    this.#isTold = true;
    const page = guest - (guest % LOG_PAGE_BYTES);
    const first = log === undefined ? page : Math.max(page, logEnd(log.length));
    const what = log === undefined ? 'no log' : `a log of ${log.length} bytes, which ends before that page`;
    this.#tell(`has writes logged and gave ${what}: the page at 0x${first.toString(16)} is not marked`);
  }
}
