import type { DeviceAccess } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import {
  EVENT_BASE_REG,
  EVENT_HEAD_REG,
  EVENT_LOG_RUNS,
  EVENT_LOGGED,
  EVENT_OVERFLOW,
  EVENT_TAIL_REG,
  LENGTH_SHIFT,
  STATUS_REG,
} from '../unit/amd-registers.ts';
import { ENTRY_BYTES } from '../unit/command-format.ts';
import { CODE_SHIFT, FAULT_WRITE } from '../unit/event-format.ts';
import { LOG_LOCK, type AmdState } from './amd-state.ts';

const WORD = 0x1_0000_0000;
const PAGE = 4096;
const LENGTH_MASK = 0xf;
const ADDRESS_HIGH = 0x000f_ffff;
/** Status of the unit's PCI function: signaled target abort. */
const STATUS_WORD = 1;
const SIGNALED_ABORT = 0x0800_0000;

/**
 * How a simulated unit tells the driver of a refused access: it writes an event to the log in guest memory, and sets
 * Signaled Target Abort in the status of its PCI function. When the log is full the unit sets EventOverflow, and logs
 * nothing more until the driver clears EventLogEn and sets it again.
 */
export class SimulatedEvents {
  readonly #memory: GuestMemory;
  readonly #state: AmdState;
  readonly #registers: Int32Array;
  readonly #config: Int32Array;
  readonly #control: Int32Array;

  constructor(memory: GuestMemory, state: AmdState) {
    this.#memory = memory;
    this.#state = state;
    this.#registers = new Int32Array(state.registers);
    this.#config = new Int32Array(state.config);
    this.#control = new Int32Array(state.control);
  }

  /** An access of the device was refused. `flags` are those of the event beside the direction and the domain. */
  refuse(code: number, flags: number, access: DeviceAccess, low: number, high: number): void {
    Atomics.or(this.#config, STATUS_WORD, SIGNALED_ABORT);
    this.log(code, this.#state.sourceId, flags | (access === 'write' ? FAULT_WRITE : 0), low, high);
  }

  /** Writes an event. */
  log(code: number, sourceId: number, flags: number, low: number, high: number): void {
    if (!this.#state.logsEvents || (this.#read(STATUS_REG) & EVENT_LOG_RUNS) === 0) return;
    while (Atomics.compareExchange(this.#control, LOG_LOCK, 0, 1) !== 0);
    this.#append([sourceId, (code << CODE_SHIFT) | flags, low, high]);
    Atomics.store(this.#control, LOG_LOCK, 0);
  }

  #append(words: readonly number[]): void {
    const baseHigh = this.#read(EVENT_BASE_REG + 4);
    const base = this.#read(EVENT_BASE_REG);
    const bytes = ENTRY_BYTES << ((baseHigh >>> LENGTH_SHIFT) & LENGTH_MASK);
    const tail = this.#read(EVENT_TAIL_REG);
    const next = (tail + ENTRY_BYTES) % bytes;
    const address = (baseHigh & ADDRESS_HIGH) * WORD + base - (base % PAGE) + tail;
    if (next === this.#read(EVENT_HEAD_REG) || !this.#memory.contains(address, ENTRY_BYTES)) {
      Atomics.or(this.#registers, STATUS_REG / 4, EVENT_OVERFLOW);
      Atomics.and(this.#registers, STATUS_REG / 4, ~EVENT_LOG_RUNS);
      return;
    }
    this.#memory.u32.set(
      words.map((word) => word >>> 0),
      address / 4,
    );
    Atomics.store(this.#registers, EVENT_TAIL_REG / 4, next);
    Atomics.or(this.#registers, STATUS_REG / 4, EVENT_LOGGED);
  }

  #read(offset: number): number {
    return Atomics.load(this.#registers, offset / 4) >>> 0;
  }
}
