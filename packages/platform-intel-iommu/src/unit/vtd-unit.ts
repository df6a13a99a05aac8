import type { TranslationCaches } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { GlobalCommands } from './global-commands.ts';
import type { Invalidation } from './invalidation.ts';
import { QueuedInvalidation } from './queued-invalidation.ts';
import { RegisterInvalidation } from './register-invalidation.ts';
import { unresponsive, unsupported, type VtdFacility } from './vtd-facility.ts';
import { readCapabilities, type VtdCapabilities } from './vtd-capabilities.ts';
import {
  FECTL_REG,
  FAULT_INTERRUPT_MASK,
  QUEUED_INVALIDATION_ENABLE,
  RTADDR_REG,
  SET_ROOT_POINTER,
  TRANSLATION_ENABLE,
} from './vtd-registers.ts';

const WORD = 0x1_0000_0000;

/** How a unit is told what to drop: by its registers, or through a queue in guest memory. */
export const INVALIDATIONS = ['registers', 'queued'] as const;
/** One of {@link INVALIDATIONS}. */
export type InvalidationKind = (typeof INVALIDATIONS)[number];

/** What a {@link VtdUnit} is made for. */
export interface VtdUnitOptions {
  /** The domain id, not 0, which caching mode reserves. */
  readonly domain: number;
  readonly invalidation: InvalidationKind;
}

/**
 * Programs a remapping unit by its registers: bounded waits, and success only where the unit confirms a command. There
 * is one domain, of one device.
 */
export class VtdUnit implements TranslationCaches {
  readonly capabilities: VtdCapabilities;
  readonly #facility: VtdFacility;
  readonly #commands: GlobalCommands;
  readonly #invalidation: Invalidation;
  /** Whether the unit may know the tables or the queue. */
  #isEnabled = false;

  /**
   * `memory` has the invalidation queue. Throws {@link DmaError} `ERR_IOMMU_UNSUPPORTED` without a unit, or without a
   * queue where one is asked for.
   */
  constructor(facility: VtdFacility, memory: GuestMemory, { domain, invalidation }: VtdUnitOptions) {
    this.#facility = facility;
    this.#commands = new GlobalCommands(facility);
    const capabilities = readCapabilities(facility);
    this.capabilities = capabilities;
    if (invalidation === 'registers') {
      this.#invalidation = new RegisterInvalidation(facility, capabilities, domain);
      return;
    }
    if (!capabilities.queuedInvalidation)
      throw unsupported('this unit has no invalidation queue (ECAP.QI)', 'use platform.invalidation: registers');
    this.#invalidation = new QueuedInvalidation(memory, facility, this.#commands, { capabilities, domain });
  }

  get isTranslating(): boolean {
    return this.#commands.isOn(TRANSLATION_ENABLE);
  }

  /**
   * Starts translation with the root table at `root`, whose low bits are its mode. Stops first what firmware left
   * running, also queued invalidation: while it is enabled the invalidation registers have no effect. Translation that
   * is taken over goes on meanwhile. Throws {@link DmaError} `ERR_IOMMU_UNRESPONSIVE`.
   */
  start(root: number, { isTakenOver = false }: { readonly isTakenOver?: boolean } = {}): void {
    const facility = this.#facility;
    if (!isTakenOver) this.#commands.command('disable translation', TRANSLATION_ENABLE, false);
    this.#commands.command('disable queued invalidation', QUEUED_INVALIDATION_ENABLE, false);
    // Faults are read on request, without an interrupt.
    facility.write32(FECTL_REG, FAULT_INTERRUPT_MASK);
    this.#isEnabled = true;
    this.#invalidation.enable();
    facility.write64(RTADDR_REG, root % WORD, Math.floor(root / WORD));
    this.#commands.command('set the root table', SET_ROOT_POINTER, true);
    if (!this.invalidateAll()) throw unresponsive('the first invalidation of all caches was not confirmed');
    this.#commands.command('enable translation', TRANSLATION_ENABLE, true);
  }

  /**
   * Stops translation, so that the unit walks no table, and frees the queue. Returns whether that is confirmed; if not,
   * the tables must stay. Not called again once it is confirmed.
   */
  stop(): boolean {
    if (this.#isEnabled) {
      const isStopped =
        this.#commands.isDone(TRANSLATION_ENABLE, false) && this.invalidateAll() && this.#invalidation.disable();
      if (!isStopped) return false;
    }
    this.#invalidation.free();
    return true;
  }

  /** Frees the queue although the unit may use it: the memory of a kernel that starts another one is the other's. */
  abandon(): void {
    this.#invalidation.free();
  }

  /** Invalidates every cached context and translation. Returns whether that is confirmed. */
  invalidateAll(): boolean {
    return this.#invalidation.invalidateAll();
  }

  /**
   * Invalidates the cached translations of `count` pages from `page` on: of the smallest naturally aligned block around
   * them, or of the whole domain where the block is too large for this unit. Returns whether that is confirmed. Hot: no
   * allocation.
   */
  invalidatePages(page: number, count: number): boolean {
    if (!this.flushWriteBuffer()) return false;
    const mask = 32 - Math.clz32(page ^ (page + count - 1));
    if (mask > this.capabilities.largestMask) return this.#invalidation.invalidateDomain();
    return this.#invalidation.invalidatePages(page & -(1 << mask), mask);
  }

  /** A unit in caching mode may remember that nothing was there, so the pages are invalidated. Hot: no allocation. */
  showPages(page: number, count: number): boolean {
    return this.capabilities.cachingMode ? this.invalidatePages(page, count) : this.flushWriteBuffer();
  }

  /** Flushes the write buffer of an old unit, so that written tables are visible to it. Hot: no allocation. */
  flushWriteBuffer(): boolean {
    return !this.capabilities.needsWriteBufferFlush || this.#commands.flushWriteBuffer();
  }
}
