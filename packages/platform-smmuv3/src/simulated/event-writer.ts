import type { DeviceAccess } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { EVENT_WORDS } from '../unit/command-format.ts';
import {
  CR0ACK,
  EVENT_ABORT,
  EVENTQ_BASE,
  EVENTQ_CONS,
  EVENTQ_ENABLE,
  EVENTQ_PROD,
  EVENTS_LOST,
  GERROR,
  GERRORN,
} from '../unit/smmu-registers.ts';
import { registerWord, type SmmuState } from './smmu-state.ts';

const WORD = 0x1_0000_0000;
const BITS_MASK = 0x1f;
const ADDRESS_HIGH = 0x000f_ffff;
const PROD = registerWord(EVENTQ_PROD);
const CONS = registerWord(EVENTQ_CONS);
/** Fourth word of an event: the access was a read. */
const WAS_READ = 0x8;
/** Fourth word of an event of translation: the address is that of the access itself (CLASS). */
const OF_INPUT = 0x200;

/**
 * Writes events into the queue of the driver, in the device's thread. While the queue is full events are dropped, which
 * the position shows by one of its bits until the driver acknowledges it (Arm IHI 0070, section 7.4).
 */
export class EventWriter {
  readonly #memory: GuestMemory;
  readonly #registers: Int32Array;
  readonly #streamId: number;

  constructor(memory: GuestMemory, state: SmmuState) {
    this.#memory = memory;
    this.#registers = new Int32Array(state.registers);
    this.#streamId = state.streamId;
  }

  /** Writes an event, if there is a place for it. Those of the configuration have no address. */
  write(type: number, access: DeviceAccess, low: number, high: number, isOfTranslation: boolean): void {
    const registers = this.#registers;
    if ((Atomics.load(registers, CR0ACK / 4) & EVENTQ_ENABLE) === 0) return;
    const baseLow = registers[EVENTQ_BASE / 4]! >>> 0;
    const size = 2 ** (baseLow & BITS_MASK);
    const mask = 2 * size - 1;
    const [prod, cons] = [Atomics.load(registers, PROD), Atomics.load(registers, CONS)];
    if (((prod ^ cons) & mask) === size) {
      // Lost events are shown once, until the driver has seen them.
      if ((prod ^ cons) >= 0) Atomics.store(registers, PROD, prod ^ EVENTS_LOST);
      return;
    }
    const base = (registers[EVENTQ_BASE / 4 + 1]! & ADDRESS_HIGH) * WORD + baseLow - (baseLow & BITS_MASK);
    const at = base / 4 + (prod & (size - 1)) * EVENT_WORDS;
    if (!this.#memory.contains(at * 4, 4 * EVENT_WORDS)) return this.#abort();
    const { u32 } = this.#memory;
    u32.fill(0, at, at + EVENT_WORDS);
    u32[at + 1] = this.#streamId;
    u32[at + 3] = (access === 'read' ? WAS_READ : 0) | (isOfTranslation ? OF_INPUT : 0);
    if (isOfTranslation) {
      u32[at + 4] = low;
      u32[at + 5] = high;
    }
    u32[at] = type;
    Atomics.store(registers, PROD, ((prod + 1) & mask) | (prod & EVENTS_LOST));
  }

  /** The queue is not in memory. */
  #abort(): void {
    const registers = this.#registers;
    const active = Atomics.load(registers, GERROR / 4) ^ Atomics.load(registers, GERRORN / 4);
    if ((active & EVENT_ABORT) === 0) Atomics.xor(registers, GERROR / 4, EVENT_ABORT);
  }
}
