import type { GuestMemory } from '@virtio-platform/core/memory';
import { DEVICE_TABLE_REG, TABLE_SIZE_MASK } from '../unit/amd-registers.ts';
import { DEVICE_TABLE_ERROR, FAULT_RESERVED, ILLEGAL_DEVICE_ENTRY, IO_PAGE_FAULT } from '../unit/event-format.ts';
import {
  ADDRESS_HIGH,
  DEVICE_ENTRY_BYTES,
  DOMAIN_MASK,
  ENTRY_VALID,
  MAY_READ,
  MAY_WRITE,
  MODE_MASK,
  MODE_SHIFT,
  TRANSLATION_VALID,
} from '../unit/table-format.ts';
import { CACHED_ENTRY, CACHED_WORDS, ENTRY_CACHED, GENERATION, type AmdState } from './amd-state.ts';

const WORD = 0x1_0000_0000;
const PAGE = 4096;
/** Reserved bits of four words of an entry, for a unit without guest translation, device caches and page requests. */
const RESERVED: readonly number[] = [0x0000_01fc, 0x9ff0_0000, 0xffff_0000, 0xffff_ff81];

/**
 * What the device table says of the device: its entry is read from guest memory and cached until it is invalidated. An
 * entry that is refused is not cached. The results are fields, so that nothing is allocated.
 */
export class DeviceEntries {
  /** Whether the entry says anything: without, the unit lets the device through. */
  isValid = false;
  /** Levels of page tables; 0 lets addresses through that the entry permits. */
  levels = 0;
  /** Physical address of the page table of the highest level. */
  table = 0;
  domain = 0;
  /** {@link MAY_READ} and {@link MAY_WRITE}. */
  permissions = 0;
  /** After a refusal: the flags of its event. */
  flags = 0;
  readonly #memory: GuestMemory;
  readonly #state: AmdState;
  readonly #registers: Int32Array;
  readonly #control: Int32Array;

  constructor(memory: GuestMemory, state: AmdState) {
    this.#memory = memory;
    this.#state = state;
    this.#registers = new Int32Array(state.registers);
    this.#control = new Int32Array(state.control);
  }

  /** Loads the entry. Returns 0, or the code of the event that says why it cannot be used. */
  load(): number {
    const control = this.#control;
    if (Atomics.load(control, ENTRY_CACHED) === 0) {
      const code = this.#fetch();
      if (code !== 0) return code;
    }
    const first = control[CACHED_ENTRY]!;
    const second = control[CACHED_ENTRY + 1]!;
    this.isValid = (first & ENTRY_VALID) !== 0;
    if (!this.isValid) return 0;
    this.domain = control[CACHED_ENTRY + 2]! & DOMAIN_MASK;
    this.flags = this.domain;
    if ((first & TRANSLATION_VALID) === 0) return IO_PAGE_FAULT;
    this.levels = (first >>> MODE_SHIFT) & MODE_MASK;
    this.table = (second & ADDRESS_HIGH) * WORD + ((first & -PAGE) >>> 0);
    this.permissions = second & (MAY_READ | MAY_WRITE);
    return 0;
  }

  #fetch(): number {
    const { sourceId } = this.#state;
    const low = Atomics.load(this.#registers, DEVICE_TABLE_REG / 4);
    const high = Atomics.load(this.#registers, DEVICE_TABLE_REG / 4 + 1);
    const offset = sourceId * DEVICE_ENTRY_BYTES;
    this.flags = 0;
    if (offset >= ((low & TABLE_SIZE_MASK) + 1) * PAGE) return IO_PAGE_FAULT;
    const address = (high & ADDRESS_HIGH) * WORD + ((low & -PAGE) >>> 0) + offset;
    if (!this.#memory.contains(address, DEVICE_ENTRY_BYTES)) return DEVICE_TABLE_ERROR;
    const control = this.#control;
    const { u32 } = this.#memory;
    const generation = Atomics.load(control, GENERATION);
    let isReserved = false;
    for (let i = 0; i < CACHED_WORDS; i++) {
      const word = Atomics.load(u32, address / 4 + i);
      if ((word & RESERVED[i]!) !== 0) isReserved = true;
      control[CACHED_ENTRY + i] = word;
    }
    if (isReserved && (control[CACHED_ENTRY]! & ENTRY_VALID) !== 0) {
      this.flags = FAULT_RESERVED;
      return ILLEGAL_DEVICE_ENTRY;
    }
    // An invalidation that came meanwhile applies to what was just read, so it is not cached.
    if (generation === Atomics.load(control, GENERATION)) Atomics.store(control, ENTRY_CACHED, 1);
    return 0;
  }
}
