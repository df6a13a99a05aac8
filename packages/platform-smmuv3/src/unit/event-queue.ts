import type { DeviceAccess } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { EVENT_WORDS } from './command-format.ts';
import type { SmmuFacility } from './smmu-facility.ts';
import { ALLOCATE_HINT, EVENTQ_BASE, EVENTQ_CONS, EVENTQ_PROD, EVENTS_LOST } from './smmu-registers.ts';

const WORD = 0x1_0000_0000;
/** log2 of the events of a page. */
const MOST_BITS = 7;
/** Fourth word of an event: the access was a read. */
const WAS_READ = 0x8;

/** An event as the unit wrote it (Arm IHI 0070, section 7.3). */
export interface SmmuEvent {
  readonly type: number;
  readonly streamId: number;
  readonly access: DeviceAccess;
  /** Device address; 0 for events of the configuration. */
  readonly address: bigint;
}

/** The event queue of a unit: at most a page of events in guest memory, which the unit writes. Cold. */
export class EventQueue {
  readonly #memory: GuestMemory;
  readonly #facility: SmmuFacility;
  readonly #bits: number;
  readonly #address: number;
  #cons = 0;
  #lost = 0;

  /**
   * `mostBits` is what the unit supports. Throws {@link DmaError} `ERR_DMA_EXHAUSTED`, and then nothing is allocated.
   */
  constructor(memory: GuestMemory, facility: SmmuFacility, mostBits: number) {
    this.#memory = memory;
    this.#facility = facility;
    this.#bits = Math.min(mostBits, MOST_BITS);
    this.#address = memory.allocate(4 * EVENT_WORDS * 2 ** this.#bits);
  }

  /** How often the queue was full when it was read, so that events were lost. */
  get lost(): number {
    return this.#lost;
  }

  /** Gives the empty queue to the unit, which does not write events yet. */
  give(): void {
    const facility = this.#facility;
    this.#cons = 0;
    facility.write64(
      EVENTQ_BASE,
      (this.#address % WORD) | this.#bits,
      Math.floor(this.#address / WORD) | ALLOCATE_HINT,
    );
    facility.write32(EVENTQ_PROD, 0);
    facility.write32(EVENTQ_CONS, 0);
  }

  /** Called after the unit stopped. */
  free(): void {
    this.#memory.free(this.#address);
  }

  /**
   * The events since the last call, the oldest first: those of all devices behind the unit. Gives their places back to
   * the unit. A position of the unit that is no position of this queue gives none.
   */
  take(): SmmuEvent[] {
    const size = 2 ** this.#bits;
    const mask = 2 * size - 1;
    const prod = this.#facility.read32(EVENTQ_PROD);
    const isLost = (prod ^ this.#cons) < 0;
    const count = (prod - this.#cons) & mask;
    if (isLost) this.#lost++;
    const events: SmmuEvent[] = [];
    const believed = count <= size ? count : 0;
    for (let i = 0; i < believed; i++) events.push(this.#read((this.#cons + i) & (size - 1)));
    // The bit of lost events is acknowledged by the same write.
    this.#cons = (prod & mask) | (prod & EVENTS_LOST);
    if (count > 0 || isLost) this.#facility.write32(EVENTQ_CONS, this.#cons >>> 0);
    return events;
  }

  #read(index: number): SmmuEvent {
    const { u32 } = this.#memory;
    const at = this.#address / 4 + index * EVENT_WORDS;
    return {
      type: u32[at]! & 0xff,
      streamId: u32[at + 1]!,
      access: (u32[at + 3]! & WAS_READ) === 0 ? 'write' : 'read',
      address: (BigInt(u32[at + 5]!) << 32n) | BigInt(u32[at + 4]!),
    };
  }
}
