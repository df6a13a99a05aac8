import type { GuestMemory } from '@virtio-platform/core/memory';
import { C_BAD_CD, C_BAD_STE, C_BAD_STREAMID, F_CD_FETCH, F_STE_FETCH } from '../unit/event-types.ts';
import {
  CD_AARCH64,
  CD_ABORT,
  CD_GRANULE_SHIFT,
  CD_STALL,
  CD_VALID,
  CONFIG_BYPASS,
  CONFIG_STAGE_1,
  STREAM_CONFIG_SHIFT,
  STREAM_VALID,
} from '../unit/table-format.ts';
import { STRTAB_BASE, STRTAB_BASE_CFG } from '../unit/smmu-registers.ts';
import { POWERS_OF_TWO } from './powers-of-two.ts';
import type { SmmuState } from './smmu-state.ts';
import type { StreamConfig } from './stream-config.ts';

const WORD = 0x1_0000_0000;
const ENTRY_BYTES = 64;
const CONFIG_MASK = 7;
/** Configurations below 4 abort, whatever the other bits are. */
const FIRST_OPEN_CONFIG = 4;
/** Second word: log2 of the context descriptors (S1CDMax), of which a unit without substreams has one. */
const CD_MAX_SHIFT = 27;
/** Third word: the exception level (STRW), of which a unit without those of hypervisors has one. */
const STRW_SHIFT = 30;
const ADDRESS_HIGH = 0x000f_ffff;
const BITS_MASK = 0x3f;
/** First word of a context descriptor: T0SZ, its range, and what this unit does not have. */
const LEAST_T0SZ = 16;
const MOST_T0SZ = 39;
const CD_BIG_ENDIAN = 0x8000;
/** First word: there is no TTB0. */
export const CD_NO_TTB0 = 0x4000;
/** log2 of the granules by TG0; 0 for none. */
const PAGE_SHIFTS = [12, 16, 14, 0];
const ASID_SHIFT = 16;

/**
 * Reads what stream table and context descriptor say of a device, out of guest memory, and checks it by the rules of
 * the specification for an unusual value: an event instead of a translation (Arm IHI 0070, sections 5.2, 5.4, 7.3).
 */
export class StreamTablesReader {
  readonly #memory: GuestMemory;
  readonly #registers: Int32Array;
  readonly #streamId: number;
  readonly #pageShifts: ReadonlySet<number>;
  readonly #outputLimit: number;

  constructor(
    memory: GuestMemory,
    state: SmmuState,
    shape: { readonly pageShifts: ReadonlySet<number>; readonly outputBits: number },
  ) {
    this.#memory = memory;
    this.#registers = new Int32Array(state.registers);
    this.#streamId = state.streamId;
    this.#pageShifts = shape.pageShifts;
    this.#outputLimit = 2 ** shape.outputBits;
  }

  /** Fills `config`. Returns 0, or the type of the event. */
  read(config: StreamConfig): number {
    const registers = this.#registers;
    const bits = registers[STRTAB_BASE_CFG / 4]! & BITS_MASK;
    if (this.#streamId >= POWERS_OF_TWO[bits]!) return C_BAD_STREAMID;
    const low = registers[STRTAB_BASE / 4]! >>> 0;
    const base = addressIn(low - (low % ENTRY_BYTES), registers[STRTAB_BASE / 4 + 1]!);
    const address = base + this.#streamId * ENTRY_BYTES;
    const { u32 } = this.#memory;
    if (!this.#memory.contains(address, ENTRY_BYTES)) return F_STE_FETCH;
    const at = address / 4;
    const first = Atomics.load(u32, at);
    if ((first & STREAM_VALID) === 0) return C_BAD_STE;
    config.kind = (first >>> STREAM_CONFIG_SHIFT) & CONFIG_MASK;
    if (config.kind < FIRST_OPEN_CONFIG || config.kind === CONFIG_BYPASS) return 0;
    const second = u32[at + 1]!;
    if (config.kind !== CONFIG_STAGE_1 || second >>> CD_MAX_SHIFT !== 0 || u32[at + 2]! >>> STRW_SHIFT !== 0)
      return C_BAD_STE;
    return this.#readDescriptor(addressIn(first - (first % ENTRY_BYTES), second), config);
  }

  #readDescriptor(address: number, config: StreamConfig): number {
    const { u32 } = this.#memory;
    if (!this.#memory.contains(address, ENTRY_BYTES)) return F_CD_FETCH;
    const at = address / 4;
    const first = Atomics.load(u32, at);
    const second = u32[at + 1]!;
    if (first < CD_VALID || (second & CD_AARCH64) === 0 || (first & CD_BIG_ENDIAN) !== 0) return C_BAD_CD;
    // This unit neither stalls an access nor lets a faulting one read zeros.
    if ((second & CD_STALL) !== 0 || (second & CD_ABORT) === 0) return C_BAD_CD;
    const code = (first >>> CD_GRANULE_SHIFT) & 3;
    const t0sz = first & BITS_MASK;
    config.pageShift = PAGE_SHIFTS[code]!;
    // Without TTB0 no address is translated.
    config.addressBits = (first & CD_NO_TTB0) === 0 ? 64 - t0sz : 0;
    config.tag = (second >>> ASID_SHIFT) * 4 + code;
    config.rules = second;
    const low = u32[at + 2]!;
    config.table = addressIn(low - (low % 16), u32[at + 3]!);
    const isPossible = this.#pageShifts.has(config.pageShift) && t0sz >= LEAST_T0SZ && t0sz <= MOST_T0SZ;
    return isPossible && config.table < this.#outputLimit ? 0 : C_BAD_CD;
  }
}

function addressIn(low: number, high: number): number {
  return (high & ADDRESS_HIGH) * WORD + low;
}
