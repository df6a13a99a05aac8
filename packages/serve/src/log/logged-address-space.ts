import { TranslatedAddressSpace, type FaultLog } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { DirtyLog, LoggedTranslation } from './dirty-log.ts';

/** The device's view of memory: what it writes to is logged while the front-end wants that. */
export class LoggedAddressSpace extends TranslatedAddressSpace {
  readonly #translation: LoggedTranslation;
  readonly #log: DirtyLog;

  constructor(memory: GuestMemory, faults: FaultLog, translation: LoggedTranslation, log: DirtyLog) {
    super(memory, faults, translation.translation);
    this.#translation = translation;
    this.#log = log;
  }

  override write(low: number, high: number, source: Uint8Array, at: number, length: number): boolean {
    const isWritten = super.write(low, high, source, at, length);
    if (this.#log.isOn) this.#log.mark(this.#translation, low, high, length);
    return isWritten;
  }

  /** Marks bytes that were written through a borrowed range. */
  markBorrowed(low: number, high: number, length: number): void {
    this.#log.mark(this.#translation, low, high, length);
  }

  /** Marks bytes of a ring at its address for the log, which is a device address where those are translated. */
  markRing(low: number, high: number, length: number): void {
    if (this.#translation.isIoVirtual) this.markBorrowed(low, high, length);
    else this.#log.markAddress(low, high, length);
  }

  /** Tells the front-end that pages were marked. */
  signalLog(): void {
    this.#log.signal();
  }
}
