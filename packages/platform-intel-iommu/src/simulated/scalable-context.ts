import { SCALABLE_TABLE_REASONS as REASONS } from '../unit/fault-reasons.ts';
import {
  FUNCTIONS_OF_HALF,
  PASID_PASS_THROUGH,
  PASID_SECOND_LEVEL,
  PASID_TYPE_SHIFT,
  PASID_WIDTH_SHIFT,
  PASID_WORDS,
  SCALABLE_CONTEXT_WORDS,
} from '../unit/scalable-format.ts';
import { CONTEXT_WORDS, PRESENT, TYPE_PASS_THROUGH, TYPE_TRANSLATED } from '../unit/vtd-registers.ts';
import { addressInEntry, RequesterContext, TABLE_BYTES } from './requester-context.ts';
import type { RequesterEntry } from './requester-entry.ts';

/** Low-word bits below the address that must be 0: in a root entry all but present. */
const ROOT_RESERVED_LOW = 0xffe;
/** In a context entry all but present, FPD and the size of the directory: this unit has no device TLB and no PASIDs. */
const CONTEXT_RESERVED_LOW = 0x1fc;
/** In an entry of the directory all but present and FPD. */
const DIRECTORY_RESERVED_LOW = 0xffc;
/** In a PASID entry what this unit does not have: SLEE, SLADE and reserved bits. */
const PASID_RESERVED_LOW = 0xe20;
const DOMAIN_MASK = 0xffff;
const FIELD_MASK = 7;

/**
 * Reads what the tables of scalable mode say of a device, out of guest memory: its context leads to a PASID directory,
 * and that to the entry of PASID 0, which requests without a PASID have.
 */
export class ScalableContext extends RequesterContext {
  /** Physical address of the PASID directory, after a successful {@link fetchContext}. */
  directory = 0;
  /** Finds the directory by the tables at `root`. Returns 0, or the reason of the fault. */
  fetchContext(root: number): number {
    if (!this.memory.contains(root, TABLE_BYTES)) return REASONS.rootUnreadable;
    const u32 = this.memory.u32;
    const half = this.devfn >= FUNCTIONS_OF_HALF ? 2 : 0;
    const at = root / 4 + this.bus * CONTEXT_WORDS + half;
    const low = Atomics.load(u32, at);
    if ((low & PRESENT) === 0) return REASONS.rootNotPresent;
    if ((low & ROOT_RESERVED_LOW) !== 0) return REASONS.rootReserved;
    const contexts = addressInEntry(low, u32[at + 1]!);
    if (!this.memory.contains(contexts, TABLE_BYTES)) return REASONS.contextUnreadable;
    const context = contexts / 4 + (this.devfn % FUNCTIONS_OF_HALF) * SCALABLE_CONTEXT_WORDS;
    const first = Atomics.load(u32, context);
    if ((first & PRESENT) === 0) return REASONS.contextNotPresent;
    if ((first & CONTEXT_RESERVED_LOW) !== 0 || !this.#isZero(context + 2, SCALABLE_CONTEXT_WORDS - 2))
      return REASONS.contextReserved;
    this.directory = addressInEntry(first, u32[context + 1]!);
    return 0;
  }

  /** Fills `entry` by the directory. Returns 0, or the reason of the fault. */
  fetchPasid(directory: number, entry: RequesterEntry): number {
    if (!this.memory.contains(directory, TABLE_BYTES)) return REASONS.directoryUnreadable;
    const u32 = this.memory.u32;
    const low = Atomics.load(u32, directory / 4);
    if ((low & PRESENT) === 0) return REASONS.directoryNotPresent;
    if ((low & DIRECTORY_RESERVED_LOW) !== 0) return REASONS.directoryReserved;
    const pasids = addressInEntry(low, u32[directory / 4 + 1]!);
    if (!this.memory.contains(pasids, TABLE_BYTES)) return REASONS.pasidUnreadable;
    const at = pasids / 4;
    const first = Atomics.load(u32, at);
    if ((first & PRESENT) === 0) return REASONS.pasidNotPresent;
    const third = u32[at + 2]!;
    if ((first & PASID_RESERVED_LOW) !== 0 || third > DOMAIN_MASK || !this.#isZero(at + 3, PASID_WORDS - 3))
      return REASONS.pasidReserved;
    const type = (first >>> PASID_TYPE_SHIFT) & FIELD_MASK;
    const code = (first >>> PASID_WIDTH_SHIFT) & FIELD_MASK;
    entry.type = type === PASID_PASS_THROUGH ? TYPE_PASS_THROUGH : TYPE_TRANSLATED;
    entry.domain = third;
    entry.levels = code + 2;
    entry.table = addressInEntry(first, u32[at + 1]!);
    const isKnown = type === PASID_SECOND_LEVEL || type === PASID_PASS_THROUGH;
    return isKnown && this.widthCodes.has(code) ? 0 : REASONS.pasidInvalid;
  }

  #isZero(at: number, words: number): boolean {
    for (let i = 0; i < words; i++) if (this.memory.u32[at + i] !== 0) return false;
    return true;
  }
}
