import {
  CONTEXT_INVALID,
  CONTEXT_NOT_PRESENT,
  CONTEXT_RESERVED,
  CONTEXT_UNREADABLE,
  PRESENT,
  ROOT_NOT_PRESENT,
  ROOT_RESERVED,
  ROOT_UNREADABLE,
  TYPE_MASK,
  TYPE_PASS_THROUGH,
  TYPE_SHIFT,
  TYPE_TRANSLATED,
} from '../unit/vtd-registers.ts';
import { addressInEntry, RequesterContext, TABLE_BYTES } from './requester-context.ts';
import type { RequesterEntry } from './requester-entry.ts';

const ENTRY_BYTES = 16;
/** Low-word bits that must be 0: in a root entry all below the address except present. */
const ROOT_RESERVED_LOW = 0xffe;
/** In a context entry all below the address except present, FPD and the type. */
const CONTEXT_RESERVED_LOW = 0xff0;
/** In the word with width and domain: all above the domain, and bit 7. Bits 3 to 6 are available to the driver. */
const CONTEXT_RESERVED_THIRD = 0xff00_0080;
const WIDTH_MASK = 7;
const DOMAIN_SHIFT = 8;
const DOMAIN_MASK = 0xffff;

/** Reads what root and context table of legacy mode say of a device, out of guest memory. */
export class LegacyContext extends RequesterContext {
  /** Fills `entry` by the tables at `root`. Returns 0, or the reason of the fault. */
  fetch(root: number, entry: RequesterEntry): number {
    if (!this.memory.contains(root, TABLE_BYTES)) return ROOT_UNREADABLE;
    const u32 = this.memory.u32;
    const at = (root + this.bus * ENTRY_BYTES) / 4;
    const low = Atomics.load(u32, at);
    if ((low & PRESENT) === 0) return ROOT_NOT_PRESENT;
    if ((low & ROOT_RESERVED_LOW) !== 0 || u32[at + 2] !== 0 || u32[at + 3] !== 0) return ROOT_RESERVED;
    const context = addressInEntry(low, u32[at + 1]!);
    if (!this.memory.contains(context, TABLE_BYTES)) return CONTEXT_UNREADABLE;
    return this.#fetchContext((context + this.devfn * ENTRY_BYTES) / 4, entry);
  }

  #fetchContext(at: number, entry: RequesterEntry): number {
    const u32 = this.memory.u32;
    const low = Atomics.load(u32, at);
    if ((low & PRESENT) === 0) return CONTEXT_NOT_PRESENT;
    const third = u32[at + 2]!;
    if ((low & CONTEXT_RESERVED_LOW) !== 0 || (third & CONTEXT_RESERVED_THIRD) !== 0 || u32[at + 3] !== 0)
      return CONTEXT_RESERVED;
    const code = third & WIDTH_MASK;
    entry.type = (low >>> TYPE_SHIFT) & TYPE_MASK;
    entry.domain = (third >>> DOMAIN_SHIFT) & DOMAIN_MASK;
    entry.levels = code + 2;
    entry.table = addressInEntry(low, u32[at + 1]!);
    const isKnown = entry.type === TYPE_TRANSLATED || entry.type === TYPE_PASS_THROUGH;
    return isKnown && this.widthCodes.has(code) ? 0 : CONTEXT_INVALID;
  }
}
