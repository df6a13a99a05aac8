/** A reserved region as the translation compares it: addresses as numbers, `end` behind the last one. */
export interface StateRegion {
  readonly isMsi: boolean;
  readonly start: number;
  readonly end: number;
}

/**
 * The state of a simulated unit, shared by the driver's thread and the device's: structured-cloneable, all that changes
 * in shared memory.
 *
 * `control` has the words below. The mappings of the domain are sorted by their first page, in arrays with one element
 * for each: first and last page, first frame, all of 4096 bytes, and flags. `events` is a ring of EVENT_WORDS each,
 * which the device's thread fills and the driver's empties.
 */
export interface IommuState {
  readonly control: SharedArrayBuffer;
  readonly firstPages: SharedArrayBuffer;
  readonly lastPages: SharedArrayBuffer;
  readonly frames: SharedArrayBuffer;
  readonly flags: SharedArrayBuffer;
  readonly events: SharedArrayBuffer;
  readonly reserved: readonly StateRegion[];
}

/** Word of `control`, like all below: odd while the mappings change. */
export const SEQUENCE = 0;
/** Changes whenever the device loses a translation. */
export const GENERATION = 1;
/** How many mappings there are. */
export const COUNT = 2;
/** What the endpoint is attached to: one of the next three values. */
export const ATTACHED = 3;
/** 1 while an endpoint without a domain is let through. */
export const BYPASS = 4;
/** 1 while a device relies on its translations. */
export const FROZEN = 5;
/** How many events the device's thread wrote, modulo 2^32. */
export const EVENTS_WRITTEN = 6;
/** How many events the driver's thread took. */
export const EVENTS_TAKEN = 7;
const CONTROL_WORDS = 8;

/** Value of ATTACHED: no domain. */
export const NO_DOMAIN = 0;
/** Value of ATTACHED: a domain with mappings. */
export const MAPPED_DOMAIN = 1;
/** Value of ATTACHED: a domain with the bypass flag. */
export const BYPASS_DOMAIN = 2;

/** Events that wait for a buffer of the driver; further ones are dropped. A power of two. */
export const EVENT_PLACES = 256;
/** Words of an event: reason, flags, low and high word of the address. */
export const EVENT_WORDS = 4;

/** Allocates the state of a unit after power-on, for at most `mappings` mappings. */
export function allocateIommuState(mappings: number, reserved: readonly StateRegion[]): IommuState {
  return {
    control: new SharedArrayBuffer(CONTROL_WORDS * 4),
    firstPages: new SharedArrayBuffer(mappings * 8),
    lastPages: new SharedArrayBuffer(mappings * 8),
    frames: new SharedArrayBuffer(mappings * 8),
    flags: new SharedArrayBuffer(mappings * 4),
    events: new SharedArrayBuffer(EVENT_PLACES * EVENT_WORDS * 4),
    reserved,
  };
}

/** Whether a value that reached a worker is the state of a unit. */
export function isIommuState(state: unknown): state is IommuState {
  if (typeof state !== 'object' || state === null || !('reserved' in state)) return false;
  const { reserved, ...buffers } = state;
  const { control, firstPages, lastPages, frames, flags, events } = buffers as Partial<IommuState>;
  return (
    Array.isArray(reserved) &&
    [control, firstPages, lastPages, frames, flags, events].every((part) => part instanceof SharedArrayBuffer)
  );
}
