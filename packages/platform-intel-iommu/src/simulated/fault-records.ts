import type { DeviceAccess } from '@virtio-platform/core/address-space';
import * as unit from '../unit/vtd-registers.ts';
import { FAULT_RECORDS } from './simulated-capabilities.ts';
import { NEXT_FAULT, type VtdState } from './vtd-state.ts';
const STATUS = unit.FSTS_REG / 4;
const WORDS = unit.FRCD_SIZE / 4;
const LAST = unit.FRCD_LAST_WORD / 4;
/** The status of faults: one is pending, and the index of the first. */
const PENDING = unit.FAULT_PENDING | (0xff << unit.FAULT_INDEX_SHIFT);

/**
 * The fault recording registers, a ring: the device's thread records, the driver's thread clears. While the next
 * register is not cleared, faults are dropped and the overflow bit is set; while that bit is set, faults are dropped
 * even if a register is free (VT-d specification, primary fault logging).
 */
export class FaultRecords {
  readonly #registers: Int32Array;
  readonly #control: Int32Array;
  readonly #sourceId: number;
  readonly #count: number;

  constructor(state: VtdState, count: number) {
    this.#registers = new Int32Array(state.registers);
    this.#control = new Int32Array(state.control);
    this.#sourceId = state.sourceId;
    this.#count = count;
  }

  /** Records a fault, if there is a free register. */
  record(low: number, high: number, access: DeviceAccess, reason: number): void {
    const registers = this.#registers;
    if ((Atomics.load(registers, STATUS) & unit.FAULT_OVERFLOW) !== 0) return;
    const next = this.#control[NEXT_FAULT]!;
    const at = FAULT_RECORDS / 4 + next * WORDS;
    if (Atomics.load(registers, at + LAST) < 0) {
      Atomics.or(registers, STATUS, unit.FAULT_OVERFLOW);
      return;
    }
    registers[at] = low & ~0xfff;
    registers[at + 1] = high;
    registers[at + 2] = this.#sourceId;
    Atomics.store(registers, at + LAST, unit.FAULT_RECORDED | (access === 'read' ? unit.FAULT_WAS_READ : 0) | reason);
    this.#control[NEXT_FAULT] = (next + 1) % this.#count;
    if ((Atomics.load(registers, STATUS) & unit.FAULT_PENDING) === 0) this.#show(next);
  }

  /** The driver cleared a record: updates the pending bit from all records. */
  clear(record: number): void {
    const registers = this.#registers;
    Atomics.and(registers, FAULT_RECORDS / 4 + record * WORDS + LAST, ~unit.FAULT_RECORDED);
    for (let i = 1; i <= this.#count; i++) {
      const other = (record + i) % this.#count;
      if (Atomics.load(registers, FAULT_RECORDS / 4 + other * WORDS + LAST) >= 0) continue;
      this.#show(other);
      return;
    }
    Atomics.and(registers, STATUS, ~PENDING);
  }

  /** Says which record is the first that is pending. The other bits of the status are not those of faults alone. */
  #show(record: number): void {
    Atomics.and(this.#registers, STATUS, ~PENDING);
    Atomics.or(this.#registers, STATUS, (record << unit.FAULT_INDEX_SHIFT) | unit.FAULT_PENDING);
  }
}
