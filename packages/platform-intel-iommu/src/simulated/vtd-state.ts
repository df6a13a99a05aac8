/**
 * A simulated unit as both threads see it, the driver's and the device's: structured-cloneable, and all of it shared memory.
 *
 * `registers` is the register file. `control` holds what the unit latched or counts, see below. The translation cache has three arrays with
 * one element for each of its places: whose domain it is, plus 1, or 0 for nobody's; which page; and what that page leads to.
 */
export interface VtdState {
  readonly sourceId: number;
  readonly registers: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
  readonly cacheDomains: SharedArrayBuffer;
  readonly cachePages: SharedArrayBuffer;
  readonly cacheEntries: SharedArrayBuffer;
}

/** Bytes of the register file. */
export const REGISTER_BYTES = 4096;

/** Words of `control`. Changes whenever the unit dropped what it had cached. */
export const GENERATION = 0;
/** Not 0 while a device relies on its translations as they are. */
export const FROZEN = 1;
/** The root table, as it was when the driver said to use it. */
export const ROOT_LOW = 2;
export const ROOT_HIGH = 3;
/** Number of the fault record that is written next. */
export const NEXT_FAULT = 4;
/** The cached context entry: 1 where there is one, and its low and high halves. */
export const CONTEXT_CACHED = 5;
export const CONTEXT_TYPE = 6;
export const CONTEXT_DOMAIN = 7;
export const CONTEXT_LEVELS = 8;
export const CONTEXT_TABLE_LOW = 9;
export const CONTEXT_TABLE_HIGH = 10;
const CONTROL_WORDS = 11;

/** Places of the translation cache, a power of two. A page has one of them, so that two pages of the same one take turns. */
export const CACHE_PLACES = 1024;

/** Allocates the state of a unit after power-on. */
export function allocateVtdState(sourceId: number): VtdState {
  return {
    sourceId,
    registers: new SharedArrayBuffer(REGISTER_BYTES),
    control: new SharedArrayBuffer(CONTROL_WORDS * 4),
    cacheDomains: new SharedArrayBuffer(CACHE_PLACES * 4),
    cachePages: new SharedArrayBuffer(CACHE_PLACES * 8),
    cacheEntries: new SharedArrayBuffer(CACHE_PLACES * 4),
  };
}

/** Tells the state of a unit from anything else that reached a worker. */
export function isVtdState(state: unknown): state is VtdState {
  if (typeof state !== 'object' || state === null || !('sourceId' in state)) return false;
  const { sourceId, ...buffers } = state;
  const { registers, control, cacheDomains, cachePages, cacheEntries } = buffers as Partial<VtdState>;
  return (
    typeof sourceId === 'number' &&
    [registers, control, cacheDomains, cachePages, cacheEntries].every((part) => part instanceof SharedArrayBuffer)
  );
}
