import type { GuestMemory } from '@virtio-platform/core/memory';
import {
  CONFIG_ADDRESS_BITS,
  CONFIG_CACHED,
  CONFIG_KIND,
  CONFIG_PAGE_SHIFT,
  CONFIG_RULES,
  CONFIG_TABLE_HIGH,
  CONFIG_TABLE_LOW,
  CONFIG_TAG,
  GENERATION,
  type SmmuState,
} from './smmu-state.ts';
import { StreamConfig } from './stream-config.ts';
import { StreamTablesReader } from './stream-tables-reader.ts';

const WORD = 0x1_0000_0000;

/**
 * The configuration of the device: found in stream table and context descriptor, and cached until a command drops it.
 * One that ends in an event is not cached. Hot: no allocation.
 */
export class ConfigCache {
  readonly config: StreamConfig = new StreamConfig();
  readonly #control: Int32Array;
  readonly #reader: StreamTablesReader;

  constructor(
    memory: GuestMemory,
    state: SmmuState,
    shape: { readonly pageShifts: ReadonlySet<number>; readonly outputBits: number },
  ) {
    this.#control = new Int32Array(state.control);
    this.#reader = new StreamTablesReader(memory, state, shape);
  }

  /** Loads the configuration from the cache or from the tables. Returns 0, or the type of the event. */
  load(): number {
    const control = this.#control;
    const { config } = this;
    if (Atomics.load(control, CONFIG_CACHED) !== 0) {
      config.kind = control[CONFIG_KIND]!;
      config.tag = control[CONFIG_TAG]!;
      config.addressBits = control[CONFIG_ADDRESS_BITS]!;
      config.pageShift = control[CONFIG_PAGE_SHIFT]!;
      config.rules = control[CONFIG_RULES]!;
      config.table = (control[CONFIG_TABLE_HIGH]! >>> 0) * WORD + (control[CONFIG_TABLE_LOW]! >>> 0);
      return 0;
    }
    const generation = Atomics.load(control, GENERATION);
    const type = this.#reader.read(config);
    if (type !== 0) return type;
    control[CONFIG_KIND] = config.kind;
    control[CONFIG_TAG] = config.tag;
    control[CONFIG_ADDRESS_BITS] = config.addressBits;
    control[CONFIG_PAGE_SHIFT] = config.pageShift;
    control[CONFIG_RULES] = config.rules;
    control[CONFIG_TABLE_LOW] = config.table % WORD;
    control[CONFIG_TABLE_HIGH] = Math.floor(config.table / WORD);
    // A command that came meanwhile applies to what was just read, so it is not cached.
    if (generation === Atomics.load(control, GENERATION)) Atomics.store(control, CONFIG_CACHED, 1);
    return 0;
  }
}
