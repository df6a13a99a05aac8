import { allocateIotlbState, type IotlbState } from '@virtio-platform/core/address-space';

/**
 * The state of a simulated unit, shared by the driver's thread and the device's: structured-cloneable, all in shared
 * memory.
 *
 * `registers` is the register file. `control` has the words below.
 */
export interface VtdState extends IotlbState {
  readonly sourceId: number;
  readonly registers: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
  /** Interrupt entries that the unit has cached: {@link INTERRUPT_SLOTS}, each of {@link INTERRUPT_SLOT_WORDS}. */
  readonly interruptEntries: SharedArrayBuffer;
}

/** Bytes of the register file. */
export const REGISTER_BYTES = 4096;

/** Word of `control`, like all below: changes whenever the unit drops cached entries. */
export const GENERATION = 0;
/** 1 while a device relies on its translations. */
export const FROZEN = 1;
/** Low word of the root table address that the driver set last. */
export const ROOT_LOW = 2;
/** Its high word. */
export const ROOT_HIGH = 3;
/** Index of the next fault record. */
export const NEXT_FAULT = 4;
/** 1 while a context entry is cached; in scalable mode what follows from it is the PASID directory. */
export const CONTEXT_CACHED = 5;
/** Translation type of the cached entry: of the context, or in scalable mode of the PASID. */
export const CONTEXT_TYPE = 6;
/** Domain of the cached entry. */
export const CONTEXT_DOMAIN = 7;
/** Table levels of the cached entry. */
export const CONTEXT_LEVELS = 8;
/** Low word of the table address of the cached entry. */
export const CONTEXT_TABLE_LOW = 9;
/** Its high word. */
export const CONTEXT_TABLE_HIGH = 10;
/** 1 while a PASID entry is cached. */
export const PASID_CACHED = 11;
/** Low word of the address of the PASID directory of the cached context entry. */
export const DIRECTORY_LOW = 12;
/** Its high word. */
export const DIRECTORY_HIGH = 13;
/** Low word of the interrupt remapping table address that the driver set last, with its size. */
export const INTERRUPT_TABLE_LOW = 14;
/** Its high word. */
export const INTERRUPT_TABLE_HIGH = 15;
/** Changes whenever the unit drops cached interrupt entries. */
export const INTERRUPT_GENERATION = 16;
const CONTROL_WORDS = 17;

/** Interrupt entries that the unit can cache. */
export const INTERRUPT_SLOTS = 64;
/** Words of each: its index plus 1, or 0, and the words of an entry but the last, which is reserved. */
export const INTERRUPT_SLOT_WORDS = 4;

/** Allocates the state of a unit after power-on. */
export function allocateVtdState(sourceId: number): VtdState {
  return {
    sourceId,
    registers: new SharedArrayBuffer(REGISTER_BYTES),
    control: new SharedArrayBuffer(CONTROL_WORDS * 4),
    interruptEntries: new SharedArrayBuffer(INTERRUPT_SLOTS * INTERRUPT_SLOT_WORDS * 4),
    ...allocateIotlbState(),
  };
}

/** Whether a value that reached a worker is the state of a unit. */
export function isVtdState(state: unknown): state is VtdState {
  if (typeof state !== 'object' || state === null || !('sourceId' in state)) return false;
  const { sourceId, ...buffers } = state;
  const { registers, control, interruptEntries, cacheDomains, cachePages, cacheEntries } = buffers as Partial<VtdState>;
  return (
    typeof sourceId === 'number' &&
    [registers, control, interruptEntries, cacheDomains, cachePages, cacheEntries].every(
      (part) => part instanceof SharedArrayBuffer,
    )
  );
}
