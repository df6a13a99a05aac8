import type { GuestMemory } from '@virtio-platform/core/memory';
import * as format from '../unit/interrupt-format.ts';
import { INTERRUPT_REASONS as REASONS } from '../unit/interrupt-format.ts';
import { GSTS_REG } from '../unit/vtd-registers.ts';
import { FaultRecords } from './fault-records.ts';
import { InterruptCache } from './interrupt-cache.ts';
import { addressInEntry } from './requester-context.ts';
import { INTERRUPT_TABLE_HIGH, INTERRUPT_TABLE_LOW, type VtdState } from './vtd-state.ts';

/** Bits of the data of a request with a subhandle that must be 0. */
const DATA_RESERVED = 0xffff_0000;
const SUBHANDLE_MASK = 0xffff;
const HANDLE_MASK = 0x7fff;
const HIGHEST_HANDLE = 0x8000;
/** Bits of the first word of an entry that must be 0: reserved ones, and the mode of posted interrupts. */
const FIRST_RESERVED = 0xff00_f000;
/** Bits of a destination that must be 0: it has 8 bits. */
const DESTINATION_RESERVED = 0xffff_00ff;
/** Bits of the third word of an entry that must be 0. */
const THIRD_RESERVED = 0xfff0_0000;
/** The bits of a requester id that count, by qualifier. */
const SOURCE_MASKS = [0xffff, 0xfffb, 0xfff9, 0xfff8] as const;
const FIELD_MASK = 3;
/** Words of an entry that say anything; the fourth is reserved. */
const ENTRY_WORDS = 3;

/**
 * Looks the interrupts of a device up in the interrupt remapping table, in the thread of the device. A unit in software
 * has no processor behind it, so an interrupt that is let through has no effect. One that is not is recorded in the
 * fault registers of the unit.
 */
export class InterruptLookup {
  readonly #memory: GuestMemory;
  readonly #registers: Int32Array;
  readonly #control: Int32Array;
  readonly #sourceId: number;
  readonly #cache: InterruptCache;
  readonly #faults: FaultRecords;
  readonly #entry = new Uint32Array(ENTRY_WORDS);

  /** `faultRecords` is the number of fault recording registers. */
  constructor(memory: GuestMemory, state: VtdState, faultRecords: number) {
    this.#memory = memory;
    this.#registers = new Int32Array(state.registers);
    this.#control = new Int32Array(state.control);
    this.#sourceId = state.sourceId;
    this.#cache = new InterruptCache(state);
    this.#faults = new FaultRecords(state, faultRecords);
  }

  /** Whether interrupts are remapped now. */
  get isEnabled(): boolean {
    return (this.#status & format.INTERRUPT_REMAPPING_ENABLE) !== 0;
  }

  /** Whether the unit lets an interrupt through, by its address and data: two words. */
  accepts(address: number, data: number): boolean {
    if ((address & format.REMAPPABLE_FORMAT) === 0)
      return this.#letsCompatibilityThrough || this.#block(REASONS.compatibilityFormat, 0);
    let index = (address >>> format.HANDLE_SHIFT) & HANDLE_MASK;
    if ((address & format.HIGHEST_HANDLE_BIT) !== 0) index += HIGHEST_HANDLE;
    if ((address & format.SUBHANDLE_VALID) !== 0) {
      if ((data & DATA_RESERVED) !== 0) return this.#block(REASONS.requestReserved, 0);
      index += data & SUBHANDLE_MASK;
    }
    const reason = this.#check(index);
    return reason === 0 || this.#block(reason, index);
  }

  get #status(): number {
    return Atomics.load(this.#registers, GSTS_REG / 4);
  }

  get #letsCompatibilityThrough(): boolean {
    return (this.#status & format.COMPATIBILITY_FORMAT_ENABLE) !== 0;
  }

  /** Returns 0, or the reason for which the entry lets no interrupt of this device through. */
  #check(index: number): number {
    const low = Atomics.load(this.#control, INTERRUPT_TABLE_LOW);
    if (index >= 2 << (low & format.TABLE_SIZE_MASK)) return REASONS.beyondTable;
    const entry = this.#entry;
    if (!this.#cache.find(index, entry)) {
      const reason = this.#read(index, low);
      if (reason !== 0) return reason;
    }
    return this.#isOfSource(entry[2]!) ? 0 : REASONS.otherSource;
  }

  /** Reads an entry out of guest memory, and caches it where it is valid. */
  #read(index: number, low: number): number {
    const { generation } = this.#cache;
    const table = addressInEntry(low, Atomics.load(this.#control, INTERRUPT_TABLE_HIGH) >>> 0);
    const address = table + index * format.INTERRUPT_ENTRY_WORDS * 4;
    this.#entry[0] = 0;
    if (!this.#memory.contains(address, format.INTERRUPT_ENTRY_WORDS * 4)) return REASONS.tableUnreadable;
    const { u32 } = this.#memory;
    const at = address / 4;
    const [first, second, third] = [Atomics.load(u32, at), u32[at + 1]!, u32[at + 2]!];
    this.#entry.set([first, second, third]);
    if ((first & format.INTERRUPT_PRESENT) === 0) return REASONS.notPresent;
    if ((first & FIRST_RESERVED) !== 0 || (second & DESTINATION_RESERVED) !== 0) return REASONS.entryReserved;
    if ((third & THIRD_RESERVED) !== 0 || u32[at + 3] !== 0) return REASONS.entryReserved;
    this.#cache.fill(index, this.#entry, generation);
    return 0;
  }

  /** Whether an entry is for this device. As in QEMU, an unknown kind of verification fails. */
  #isOfSource(third: number): boolean {
    const kind = (third >>> format.SOURCE_VALIDATION_SHIFT) & FIELD_MASK;
    if (kind === format.VERIFIES_ID) {
      const mask = SOURCE_MASKS[(third >>> format.SOURCE_QUALIFIER_SHIFT) & FIELD_MASK]!;
      return ((third ^ this.#sourceId) & mask) === 0;
    }
    const bus = this.#sourceId >>> 8;
    if (kind === format.VERIFIES_BUS) return bus >= ((third >>> 8) & 0xff) && bus <= (third & 0xff);
    return kind === 0;
  }

  /** Records the fault, unless the entry was read and says not to. */
  #block(reason: number, index: number): false {
    const isOfEntry =
      reason === REASONS.notPresent || reason === REASONS.entryReserved || reason === REASONS.otherSource;
    if (!isOfEntry || (this.#entry[0]! & format.INTERRUPT_FAULTS_IGNORED) === 0)
      this.#faults.record(0, index << format.FAULT_ENTRY_SHIFT, 'write', reason);
    return false;
  }
}
