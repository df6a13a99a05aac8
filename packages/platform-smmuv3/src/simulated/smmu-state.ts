import { allocateIotlbState, type IotlbState } from '@virtio-platform/core/address-space';

/**
 * The state of a simulated SMMU, shared by the driver's thread and the device's: structured-cloneable, all in shared
 * memory. `registers` is the first page of the register file; those of the second page have their places there, too.
 * `control` has the words below.
 */
export interface SmmuState extends IotlbState {
  readonly streamId: number;
  readonly registers: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
}

/** Bytes of the register file. */
export const REGISTER_BYTES = 4096;
/** Where the second page of registers begins. */
export const SECOND_PAGE = 0x1_0000;

/** Word of `control`, like all below: changes whenever the unit drops what it cached. */
export const GENERATION = 0;
/** 1 while a device relies on its translations. */
export const FROZEN = 1;
/** 1 while the configuration of the device is cached: what stream table entry and context descriptor say. */
export const CONFIG_CACHED = 2;
/** The configuration of the cached entry. */
export const CONFIG_KIND = 3;
/** ASID of the cached configuration, times 4, plus the code of the granule: how its translations are cached. */
export const CONFIG_TAG = 4;
/** Bits of an I/O virtual address. */
export const CONFIG_ADDRESS_BITS = 5;
/** log2 of the granule. */
export const CONFIG_PAGE_SHIFT = 6;
/** Second word of the context descriptor. */
export const CONFIG_RULES = 7;
/** Low word of the address of the translation table. */
export const CONFIG_TABLE_LOW = 8;
/** Its high word. */
export const CONFIG_TABLE_HIGH = 9;
const CONTROL_WORDS = 10;

/** Allocates the state of a unit after power-on. */
export function allocateSmmuState(streamId: number): SmmuState {
  return {
    streamId,
    registers: new SharedArrayBuffer(REGISTER_BYTES),
    control: new SharedArrayBuffer(CONTROL_WORDS * 4),
    ...allocateIotlbState(),
  };
}

/** The word of a register in `registers`; -1 for an offset without one. */
export function registerWord(offset: number): number {
  const place = offset >= SECOND_PAGE ? offset - SECOND_PAGE : offset;
  return place >= 0 && place < REGISTER_BYTES ? place >>> 2 : -1;
}

/** Whether a value that reached a worker is the state of a unit. */
export function isSmmuState(state: unknown): state is SmmuState {
  if (typeof state !== 'object' || state === null || !('streamId' in state)) return false;
  const { streamId, ...buffers } = state;
  const { registers, control, cacheDomains, cachePages, cacheEntries } = buffers as Partial<SmmuState>;
  return (
    typeof streamId === 'number' &&
    [registers, control, cacheDomains, cachePages, cacheEntries].every((part) => part instanceof SharedArrayBuffer)
  );
}
