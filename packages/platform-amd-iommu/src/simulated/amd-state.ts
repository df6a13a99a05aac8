import { allocateIotlbState, type IotlbState } from '@virtio-platform/core/address-space';

/**
 * The state of a simulated unit, shared by the driver's thread and the device's: structured-cloneable, all in shared
 * memory.
 *
 * `registers` are those of the unit, `config` is the configuration space of its PCI function, and `control` has the
 * words below.
 */
export interface AmdState extends IotlbState {
  readonly sourceId: number;
  /** Whether the unit writes its event log. */
  readonly logsEvents: boolean;
  /** Levels of page tables that it walks at most. */
  readonly levels: number;
  readonly cachesAbsence: boolean;
  readonly registers: SharedArrayBuffer;
  readonly config: SharedArrayBuffer;
  readonly control: SharedArrayBuffer;
}

/** Bytes of the registers: the page of the tables, and that of heads, tails and status. */
export const REGISTER_BYTES = 0x3000;
/** Bytes of configuration space. */
export const CONFIG_BYTES = 256;

/** Word of `control`, like all below: changes whenever the unit drops cached entries. */
export const GENERATION = 0;
/** 1 while a device relies on its translations. */
export const FROZEN = 1;
/** 1 while an entry of the device table is cached. */
export const ENTRY_CACHED = 2;
/** First of the words of the cached entry, as they are in the table: the four that say something of translation. */
export const CACHED_ENTRY = 3;
/** How many words are cached. */
export const CACHED_WORDS = 4;
/** Held while an event is written: a device of several queues can be in several threads. */
export const LOG_LOCK: number = CACHED_ENTRY + CACHED_WORDS;
const CONTROL_WORDS = LOG_LOCK + 1;

/** Allocates the state of a unit after power-on. */
export function allocateAmdState(
  facts: Pick<AmdState, 'sourceId' | 'logsEvents' | 'levels' | 'cachesAbsence'>,
): AmdState {
  const { sourceId, logsEvents, levels, cachesAbsence } = facts;
  return {
    sourceId,
    logsEvents,
    levels,
    cachesAbsence,
    registers: new SharedArrayBuffer(REGISTER_BYTES),
    config: new SharedArrayBuffer(CONFIG_BYTES),
    control: new SharedArrayBuffer(CONTROL_WORDS * 4),
    ...allocateIotlbState(),
  };
}

/** Whether a value that reached a worker is the state of a unit. */
export function isAmdState(state: unknown): state is AmdState {
  if (typeof state !== 'object' || state === null) return false;
  const { sourceId, logsEvents, levels, cachesAbsence, ...buffers } = state as Partial<AmdState>;
  const { registers, config, control, cacheDomains, cachePages, cacheEntries } = buffers;
  return (
    typeof sourceId === 'number' &&
    typeof logsEvents === 'boolean' &&
    typeof levels === 'number' &&
    typeof cachesAbsence === 'boolean' &&
    [registers, config, control, cacheDomains, cachePages, cacheEntries].every(
      (part) => part instanceof SharedArrayBuffer,
    )
  );
}
