import type { GuestMemory } from '@virtio-platform/core/memory';
import { widthCode, type AddressWidth } from '../unit/vtd-capabilities.ts';
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
import {
  CONTEXT_CACHED,
  CONTEXT_DOMAIN,
  CONTEXT_LEVELS,
  CONTEXT_TABLE_HIGH,
  CONTEXT_TABLE_LOW,
  CONTEXT_TYPE,
  GENERATION,
  ROOT_HIGH,
  ROOT_LOW,
  type VtdState,
} from './vtd-state.ts';

const WORD = 0x1_0000_0000;
const TABLE_BYTES = 4096;
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

/**
 * The domain of the device and the address of its page tables: found by the requester id in the root and context
 * tables, and cached until an invalidation. A fault is not cached. The results are fields. Hot: no allocation.
 */
export class ContextCache {
  type = 0;
  domain = 0;
  levels = 0;
  /** Physical address of the table of the highest level. */
  table = 0;
  /** First address beyond the width of the tables. */
  limit = 0;
  readonly #memory: GuestMemory;
  readonly #control: Int32Array;
  readonly #bus: number;
  readonly #devfn: number;
  readonly #widths: readonly AddressWidth[];

  constructor(memory: GuestMemory, state: VtdState, widths: readonly AddressWidth[]) {
    this.#memory = memory;
    this.#control = new Int32Array(state.control);
    this.#bus = state.sourceId >>> 8;
    this.#devfn = state.sourceId & 0xff;
    this.#widths = widths;
  }

  /** Loads the fields from the cache or from the tables. Returns 0, or the reason of the fault. */
  load(): number {
    const control = this.#control;
    if (Atomics.load(control, CONTEXT_CACHED) === 0) {
      const generation = Atomics.load(control, GENERATION);
      const reason = this.#fetch();
      if (reason !== 0) return reason;
      control[CONTEXT_TYPE] = this.type;
      control[CONTEXT_DOMAIN] = this.domain;
      control[CONTEXT_LEVELS] = this.levels;
      control[CONTEXT_TABLE_LOW] = this.table % WORD;
      control[CONTEXT_TABLE_HIGH] = Math.floor(this.table / WORD);
      // An invalidation that came meanwhile applies to this entry, so it is not cached.
      if (generation === Atomics.load(control, GENERATION)) Atomics.store(control, CONTEXT_CACHED, 1);
      return 0;
    }
    this.type = control[CONTEXT_TYPE]!;
    this.domain = control[CONTEXT_DOMAIN]!;
    this.levels = control[CONTEXT_LEVELS]!;
    this.table = (control[CONTEXT_TABLE_HIGH]! >>> 0) * WORD + (control[CONTEXT_TABLE_LOW]! >>> 0);
    this.limit = limitOf(this.levels);
    return 0;
  }

  #fetch(): number {
    const control = this.#control;
    const root = (control[ROOT_HIGH]! >>> 0) * WORD + ((control[ROOT_LOW]! & -TABLE_BYTES) >>> 0);
    if (!this.#memory.contains(root, TABLE_BYTES)) return ROOT_UNREADABLE;
    const u32 = this.#memory.u32;
    const rootAt = (root + this.#bus * ENTRY_BYTES) / 4;
    const rootLow = Atomics.load(u32, rootAt);
    if ((rootLow & PRESENT) === 0) return ROOT_NOT_PRESENT;
    if ((rootLow & ROOT_RESERVED_LOW) !== 0 || u32[rootAt + 2] !== 0 || u32[rootAt + 3] !== 0) return ROOT_RESERVED;
    const context = u32[rootAt + 1]! * WORD + ((rootLow & -TABLE_BYTES) >>> 0);
    if (!this.#memory.contains(context, TABLE_BYTES)) return CONTEXT_UNREADABLE;
    return this.#fetchContext((context + this.#devfn * ENTRY_BYTES) / 4);
  }

  #fetchContext(at: number): number {
    const u32 = this.#memory.u32;
    const low = Atomics.load(u32, at);
    if ((low & PRESENT) === 0) return CONTEXT_NOT_PRESENT;
    const third = u32[at + 2]!;
    if ((low & CONTEXT_RESERVED_LOW) !== 0 || (third & CONTEXT_RESERVED_THIRD) !== 0 || u32[at + 3] !== 0)
      return CONTEXT_RESERVED;
    const code = third & WIDTH_MASK;
    this.type = (low >>> TYPE_SHIFT) & TYPE_MASK;
    this.domain = (third >>> DOMAIN_SHIFT) & DOMAIN_MASK;
    this.levels = code + 2;
    this.table = u32[at + 1]! * WORD + ((low & -TABLE_BYTES) >>> 0);
    this.limit = limitOf(this.levels);
    const isKnown = this.type === TYPE_TRANSLATED || this.type === TYPE_PASS_THROUGH;
    return isKnown && this.#hasWidth(code) ? 0 : CONTEXT_INVALID;
  }

  #hasWidth(code: number): boolean {
    for (let i = 0; i < this.#widths.length; i++) if (widthCode(this.#widths[i]!) === code) return true;
    return false;
  }
}

/** First address that tables of this many levels do not translate. */
function limitOf(levels: number): number {
  return 2 ** (12 + 9 * levels);
}
