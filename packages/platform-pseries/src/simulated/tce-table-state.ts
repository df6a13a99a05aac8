/**
 * The simulated tables as both threads see them: structured-cloneable, and all of it shared memory.
 *
 * `registers` holds a generation, then for each window its number of entries (0 while there is no such window), page shift,
 * and base address as low and high word; at the end whether all of it is frozen. `tables` has an arena for each window, two words an entry, low and high.
 */
export interface TceTableState {
  readonly registers: SharedArrayBuffer;
  readonly tables: readonly SharedArrayBuffer[];
}

/** Windows of a bus (QEMU SPAPR_PCI_DMA_MAX_WINDOWS). */
export const WINDOW_COUNT = 2;

/** Register that changes whenever an entry lost permissions or was replaced. */
export const GENERATION = 0;
/** Registers of each window, counted from {@link windowRegister}. */
export const ENTRIES = 0;
export const PAGE_SHIFT = 1;
export const BASE_LOW = 2;
export const BASE_HIGH = 3;
const REGISTERS_PER_WINDOW = 4;

/** Index of the first register of a window. */
export function windowRegister(window: number): number {
  return 1 + window * REGISTERS_PER_WINDOW;
}

/** Register that is not 0 while the tables must not change. */
export const FROZEN: number = windowRegister(WINDOW_COUNT);

/** Allocates state with no window in it. */
export function allocateTceTables(entriesPerWindow: number): TceTableState {
  const registers = new SharedArrayBuffer((FROZEN + 1) * 4);
  const tables = Array.from({ length: WINDOW_COUNT }, () => new SharedArrayBuffer(entriesPerWindow * 8));
  return { registers, tables };
}

/** Tells the state of tables from anything else that reached a worker. */
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
