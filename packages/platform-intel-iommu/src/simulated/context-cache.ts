import type { GuestMemory } from '@virtio-platform/core/memory';
import {
  LEGACY_REASONS,
  SCALABLE_REASONS,
  SCALABLE_TABLE_REASONS,
  type TranslationReasons,
} from '../unit/fault-reasons.ts';
import { SCALABLE_MODE, TABLE_MODE_MASK } from '../unit/scalable-format.ts';
import { widthCode, type VtdCapabilities } from '../unit/vtd-capabilities.ts';
import { LegacyContext } from './legacy-context.ts';
import { addressInEntry } from './requester-context.ts';
import { RequesterEntry } from './requester-entry.ts';
import { ScalableContext } from './scalable-context.ts';
import {
  CONTEXT_CACHED,
  CONTEXT_DOMAIN,
  CONTEXT_LEVELS,
  CONTEXT_TABLE_HIGH,
  CONTEXT_TABLE_LOW,
  CONTEXT_TYPE,
  DIRECTORY_HIGH,
  DIRECTORY_LOW,
  GENERATION,
  PASID_CACHED,
  ROOT_HIGH,
  ROOT_LOW,
  type VtdState,
} from './vtd-state.ts';

const WORD = 0x1_0000_0000;

/**
 * The domain of the device and the address of its page tables: found by the requester id in the tables of the mode that
 * the root table's address names, and cached until an invalidation. In scalable mode context and PASID entry are cached
 * apart. A fault is not cached. Hot: no allocation.
 */
export class ContextCache {
  readonly entry: RequesterEntry = new RequesterEntry();
  /** The reasons of the mode, after {@link load}. */
  reasons: TranslationReasons = LEGACY_REASONS;
  readonly #control: Int32Array;
  readonly #legacy: LegacyContext;
  /** `undefined` for a unit without scalable mode, which ignores the bits of the mode. */
  readonly #scalable: ScalableContext | undefined;

  constructor(memory: GuestMemory, state: VtdState, { widths, scalableMode }: VtdCapabilities) {
    this.#control = new Int32Array(state.control);
    const codes = new Set(widths.map((width) => widthCode(width)));
    this.#legacy = new LegacyContext(memory, state.sourceId, codes);
    this.#scalable = scalableMode ? new ScalableContext(memory, state.sourceId, codes) : undefined;
  }

  /** Loads the entry from the cache or from the tables. Returns 0, or the reason of the fault. */
  load(): number {
    const mode = this.#scalable === undefined ? 0 : this.#control[ROOT_LOW]! & TABLE_MODE_MASK;
    if (mode === 0) {
      this.reasons = LEGACY_REASONS;
      return this.#loadEntry(CONTEXT_CACHED, undefined);
    }
    this.reasons = SCALABLE_REASONS;
    if (mode !== SCALABLE_MODE) return SCALABLE_TABLE_REASONS.mode;
    const reason = this.#loadDirectory(this.#scalable!);
    return reason === 0 ? this.#loadEntry(PASID_CACHED, this.#scalable) : reason;
  }

  #loadDirectory(scalable: ScalableContext): number {
    const control = this.#control;
    if (Atomics.load(control, CONTEXT_CACHED) !== 0) {
      scalable.directory = (control[DIRECTORY_HIGH]! >>> 0) * WORD + (control[DIRECTORY_LOW]! >>> 0);
      return 0;
    }
    const generation = Atomics.load(control, GENERATION);
    const reason = scalable.fetchContext(this.#root);
    if (reason !== 0) return reason;
    control[DIRECTORY_LOW] = scalable.directory % WORD;
    control[DIRECTORY_HIGH] = Math.floor(scalable.directory / WORD);
    this.#markCached(CONTEXT_CACHED, generation);
    return 0;
  }

  /** With `scalable`, the entry is that of its directory. */
  #loadEntry(flag: number, scalable: ScalableContext | undefined): number {
    const control = this.#control;
    const { entry } = this;
    if (Atomics.load(control, flag) !== 0) {
      entry.type = control[CONTEXT_TYPE]!;
      entry.domain = control[CONTEXT_DOMAIN]!;
      entry.levels = control[CONTEXT_LEVELS]!;
      entry.table = (control[CONTEXT_TABLE_HIGH]! >>> 0) * WORD + (control[CONTEXT_TABLE_LOW]! >>> 0);
      return 0;
    }
    const generation = Atomics.load(control, GENERATION);
    const reason =
      scalable === undefined ? this.#legacy.fetch(this.#root, entry) : scalable.fetchPasid(scalable.directory, entry);
    if (reason !== 0) return reason;
    control[CONTEXT_TYPE] = entry.type;
    control[CONTEXT_DOMAIN] = entry.domain;
    control[CONTEXT_LEVELS] = entry.levels;
    control[CONTEXT_TABLE_LOW] = entry.table % WORD;
    control[CONTEXT_TABLE_HIGH] = Math.floor(entry.table / WORD);
    this.#markCached(flag, generation);
    return 0;
  }

  get #root(): number {
    const control = this.#control;
    return addressInEntry(control[ROOT_LOW]!, control[ROOT_HIGH]! >>> 0);
  }

  /** An invalidation that came meanwhile applies to what was just read, so it is not cached. */
  #markCached(flag: number, generation: number): void {
    if (generation === Atomics.load(this.#control, GENERATION)) Atomics.store(this.#control, flag, 1);
  }
}
