import type { AddressTranslation, DeviceAccess, FaultCause } from '@virtio-platform/core/address-space';
import { deviceAddressOffset } from '@virtio-platform/core/dma';
import { TCE_READ, TCE_WRITE } from '../tce-facility.ts';
import { WINDOW_COUNT } from '../tce-windows.ts';
import {
  BASE_HIGH,
  BASE_LOW,
  ENTRIES,
  FROZEN,
  GENERATION,
  PAGE_SHIFT,
  windowRegister,
  type TceTableState,
} from './tce-table-state.ts';

const WORD = 0x1_0000_0000;
/** The smallest page; every window begins at a multiple of it. */
const SMALLEST_PAGE = 4096;

/** Translates through the simulated tables, in any thread. A run ends with its page: permissions are per page. */
export class TceTranslation implements AddressTranslation {
  run = 0;
  cause: FaultCause = 'outside-window';
  readonly #registers: Uint32Array;
  readonly #tables: readonly Uint32Array[];

  constructor(state: TceTableState) {
    this.#registers = new Uint32Array(state.registers);
    this.#tables = state.tables.map((table) => new Uint32Array(table));
  }

  get generation(): number {
    return Atomics.load(this.#registers, GENERATION);
  }

  get seenGeneration(): number {
    return this.#registers[GENERATION]!;
  }

  translate(low: number, high: number, access: DeviceAccess): number {
    const registers = this.#registers;
    for (let window = 0; window < WINDOW_COUNT; window++) {
      const at = windowRegister(window);
      const offset = deviceAddressOffset(low, high, registers[at + BASE_LOW]!, registers[at + BASE_HIGH]!);
      const pageSize = 1 << registers[at + PAGE_SHIFT]!;
      const page = Math.floor(offset / pageSize);
      if (page < 0 || page >= registers[at + ENTRIES]!) continue;
      return this.#translateInPage(this.#tables[window]!, page, offset - page * pageSize, pageSize, access);
    }
    this.cause = 'outside-window';
    this.run = SMALLEST_PAGE - (low % SMALLEST_PAGE);
    return -1;
  }

  freeze(isFrozen: boolean): void {
    Atomics.store(this.#registers, FROZEN, isFrozen ? 1 : 0);
  }

  #translateInPage(table: Uint32Array, page: number, inPage: number, pageSize: number, access: DeviceAccess): number {
    const tceLow = table[2 * page]!;
    const tceHigh = table[2 * page + 1]!;
    this.run = pageSize - inPage;
    if ((tceLow & (TCE_READ | TCE_WRITE)) === 0) this.cause = 'unmapped';
    else if (access === 'read' && (tceLow & TCE_READ) === 0) this.cause = 'read-not-permitted';
    else if (access === 'write' && (tceLow & TCE_WRITE) === 0) this.cause = 'write-not-permitted';
    else return tceHigh * WORD + ((tceLow & -pageSize) >>> 0) + inPage;
    return -1;
  }
}
