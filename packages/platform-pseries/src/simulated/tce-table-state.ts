import { WINDOW_COUNT } from '../tce-windows.ts';

/**
 * The simulated tables as both threads see them: structured-cloneable, all in shared memory.
 *
 * `registers` holds a generation, then for each window its number of entries (0 while the window is closed), page
 * shift, and base address as low and high word; the last register tells whether the tables are frozen. `tables` has an
 * array for each window, two words an entry, low and high.
 */
export interface TceTableState {
  readonly registers: SharedArrayBuffer;
  readonly tables: readonly SharedArrayBuffer[];
}

/** Register that changes whenever an entry loses permissions or is replaced. */
export const GENERATION = 0;
/** Number of entries; like the next three counted from {@link windowRegister}. */
export const ENTRIES = 0;
/** log2 of the page size. */
export const PAGE_SHIFT = 1;
/** Low word of the first bus address. */
export const BASE_LOW = 2;
/** High word of the first bus address. */
export const BASE_HIGH = 3;
const REGISTERS_PER_WINDOW = 4;

/** Index of the first register of a window. */
export function windowRegister(window: number): number {
  return 1 + window * REGISTERS_PER_WINDOW;
}

/** Register that is 1 while the tables must not change. */
export const FROZEN: number = windowRegister(WINDOW_COUNT);

/** Allocates the state without an open window. */
export function allocateTceTables(entriesPerWindow: number): TceTableState {
  const registers = new SharedArrayBuffer((FROZEN + 1) * 4);
  const tables = Array.from({ length: WINDOW_COUNT }, () => new SharedArrayBuffer(entriesPerWindow * 8));
  return { registers, tables };
}

/** Whether a value that reached a worker is the state of tables. */
export function isTceTableState(state: unknown): state is TceTableState {
  return (
    typeof state === 'object' &&
    state !== null &&
    'registers' in state &&
    state.registers instanceof SharedArrayBuffer &&
    'tables' in state &&
    Array.isArray(state.tables) &&
    state.tables.every((table) => table instanceof SharedArrayBuffer)
  );
}
