import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import type { AmdIommuFacility } from './amd-facility.ts';
import {
  EVENT_BASE_REG,
  EVENT_HEAD_REG,
  EVENT_LOG_ENABLE,
  EVENT_LOG_RUNS,
  EVENT_LOGGED,
  EVENT_OVERFLOW,
  EVENT_TAIL_REG,
  LEAST_LENGTH,
  LENGTH_SHIFT,
} from './amd-registers.ts';
import { ENTRY_BYTES, ENTRY_WORDS } from './command-format.ts';
import { CODE_SHIFT } from './event-format.ts';
import type { UnitControl } from './unit-control.ts';

const WORD = 0x1_0000_0000;

/** An entry of the log. */
export interface AmdEvent {
  readonly code: number;
  readonly sourceId: number;
  /** The second word, which has the flags of the event. */
  readonly flags: number;
  /** Of IO_PAGE_FAULT a device address; of others a physical one. */
  readonly low: number;
  readonly high: number;
}

/** The event log of a unit: a page of events in guest memory, which the unit writes and the driver reads. Cold. */
export class EventLog {
  readonly #memory: GuestMemory;
  readonly #facility: AmdIommuFacility;
  readonly #control: UnitControl;
  readonly #address: number;

  /** Throws {@link DmaError} `ERR_DMA_EXHAUSTED`. */
  constructor(memory: GuestMemory, facility: AmdIommuFacility, control: UnitControl) {
    this.#memory = memory;
    this.#facility = facility;
    this.#control = control;
    this.#address = memory.allocate(PAGE_SIZE, PAGE_SIZE);
  }

  /** Tells the unit, while it logs nothing, where the empty log is. */
  prepare(): void {
    this.#memory.u8.fill(0, this.#address, this.#address + PAGE_SIZE);
    const base = Math.floor(this.#address / WORD) + LEAST_LENGTH * 2 ** LENGTH_SHIFT;
    this.#facility.write64(EVENT_BASE_REG, this.#address % WORD, base);
    this.#facility.write64(EVENT_HEAD_REG, 0, 0);
    this.#facility.write64(EVENT_TAIL_REG, 0, 0);
  }

  /** Takes the log from the unit. Returns whether that is confirmed. */
  disable(): boolean {
    return this.#control.switch(EVENT_LOG_ENABLE, EVENT_LOG_RUNS, false);
  }

  /** Frees the log, which the unit does not know any more. */
  free(): void {
    this.#memory.free(this.#address);
  }

  /**
   * Takes what was logged since the last call, of all devices, oldest first: at most what the log holds. A log that had
   * no room stopped; it is started again, and the events in between are lost.
   */
  take(): AmdEvent[] {
    const events: AmdEvent[] = [];
    const tail = this.#offset(EVENT_TAIL_REG);
    let head = this.#offset(EVENT_HEAD_REG);
    for (let count = PAGE_SIZE / ENTRY_BYTES; head !== tail && count > 0; count--) {
      events.push(this.#read((this.#address + head) / 4));
      head = (head + ENTRY_BYTES) % PAGE_SIZE;
    }
    this.#facility.write64(EVENT_HEAD_REG, head, 0);
    if (this.#control.hasStatus(EVENT_OVERFLOW)) {
      this.disable();
      this.#control.clearStatus(EVENT_OVERFLOW);
      this.#control.switch(EVENT_LOG_ENABLE, EVENT_LOG_RUNS, true);
    }
    this.#control.clearStatus(EVENT_LOGGED);
    return events;
  }

  /** The unit writes to memory too, so an offset is checked: one outside of the log counts as its start. */
  #offset(register: number): number {
    const words = new Uint32Array(2);
    this.#facility.read64(register, words);
    const offset = words[0]!;
    return words[1] === 0 && offset % ENTRY_BYTES === 0 && offset < PAGE_SIZE ? offset : 0;
  }

  #read(at: number): AmdEvent {
    const { u32 } = this.#memory;
    const flags = u32[at + 1]!;
    const event = {
      code: flags >>> CODE_SHIFT,
      sourceId: u32[at]! & 0xffff,
      flags,
      low: u32[at + 2]!,
      high: u32[at + 3]!,
    };
    u32.fill(0, at, at + ENTRY_WORDS);
    return event;
  }
}
