import type { TranslationCaches } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { GlobalCommands } from './global-commands.ts';
import { INTERRUPT_REMAPPING_ENABLE } from './interrupt-format.ts';
import { InterruptRemapping } from './interrupt-remapping.ts';
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
/** Status bits of what reads tables or the queue. */
const READS_MEMORY = TRANSLATION_ENABLE | INTERRUPT_REMAPPING_ENABLE | QUEUED_INVALIDATION_ENABLE;

/** How a unit is told what to drop: by its registers, or through a queue in guest memory. */
export const INVALIDATIONS = ['registers', 'queued'] as const;
/** One of {@link INVALIDATIONS}. */
export type InvalidationKind = (typeof INVALIDATIONS)[number];

/** What a {@link VtdUnit} is made for. */
export interface VtdUnitOptions {
  /** The domain id, not 0, which caching mode reserves. */
  readonly domain: number;
  readonly invalidation: InvalidationKind;
  /** Whether it remaps interrupts too, which needs the queue. False unless given. */
  readonly interruptRemapping?: boolean;
  /** The section of the profile with these options, for hints; `platform` unless given. */
  readonly section?: string;
}

/** A unit that goes on with what a former owner left. */
export interface StartOptions {
  /** Whether translation goes on meanwhile. */
  readonly isTakenOver?: boolean;
  /** Words of the interrupt entries with which it remaps; without it, remapping is stopped first. */
  readonly interrupts?: Uint32Array | undefined;
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
  readonly #interrupts: InterruptRemapping | undefined;
  /** Whether the unit may know the tables or the queue. */
  #isEnabled = false;

  /**
   * `memory` has the invalidation queue and the interrupt remapping table. Throws {@link DmaError}
   * `ERR_IOMMU_UNSUPPORTED` without a unit, or without what is asked for, and `ERR_DMA_EXHAUSTED`.
   */
  constructor(facility: VtdFacility, memory: GuestMemory, options: VtdUnitOptions) {
    const { domain, invalidation, interruptRemapping = false, section = 'platform' } = options;
    this.#facility = facility;
    this.#commands = new GlobalCommands(facility);
    const capabilities = readCapabilities(facility);
    this.capabilities = capabilities;
    if (interruptRemapping) checkRemapping(capabilities, invalidation, section);
    if (invalidation === 'registers') {
      this.#invalidation = new RegisterInvalidation(facility, capabilities, domain);
      return;
    }
    if (!capabilities.queuedInvalidation)
      throw unsupported('this unit has no invalidation queue (ECAP.QI)', `use ${section}.invalidation: registers`);
    const queue = new QueuedInvalidation(memory, facility, this.#commands, { capabilities, domain });
    this.#invalidation = queue;
    if (!interruptRemapping) return;
    try {
      this.#interrupts = new InterruptRemapping(memory, facility, this.#commands, queue);
    } catch (error) {
      queue.free();
      throw error;
    }
  }

  get isTranslating(): boolean {
    return this.#commands.isOn(TRANSLATION_ENABLE);
  }

  /**
   * Starts translation with the root table at `root`, whose low bits are its mode. Stops first what firmware left
   * running, also queued invalidation: while it is enabled the invalidation registers have no effect. What is taken
   * over goes on meanwhile. Interrupts are remapped before translation starts, as by Linux. Throws {@link DmaError}
   * `ERR_IOMMU_UNRESPONSIVE`.
   */
  start(root: number, { isTakenOver = false, interrupts }: StartOptions = {}): void {
    const facility = this.#facility;
    if (!isTakenOver) this.#commands.command('disable translation', TRANSLATION_ENABLE, false);
    if (interrupts === undefined || this.#interrupts === undefined)
      this.#commands.command('disable interrupt remapping', INTERRUPT_REMAPPING_ENABLE, false);
    this.#commands.command('disable queued invalidation', QUEUED_INVALIDATION_ENABLE, false);
    // Faults are read on request, without an interrupt.
    facility.write32(FECTL_REG, FAULT_INTERRUPT_MASK);
    this.#isEnabled = true;
    this.#invalidation.enable();
    this.#interrupts?.enable(interrupts);
    facility.write64(RTADDR_REG, root % WORD, Math.floor(root / WORD));
    this.#commands.command('set the root table', SET_ROOT_POINTER, true);
    if (!this.invalidateAll()) throw unresponsive('the first invalidation of all caches was not confirmed');
    this.#commands.command('enable translation', TRANSLATION_ENABLE, true);
  }

  /**
   * Stops translation, then interrupt remapping, so that the unit reads no table, and frees the queue. Goes on where a
   * step is not confirmed, so that as little as possible stays enabled. Returns whether all of it is confirmed; if not,
   * the tables must stay. Where nothing is enabled the unit reads nothing, and there is nothing to confirm. Not called
   * again once it is confirmed.
   */
  stop(): boolean {
    if (this.#isEnabled && this.#commands.isOn(READS_MEMORY)) {
      const steps = [
        this.#commands.isDone(TRANSLATION_ENABLE, false),
        this.invalidateAll(),
        this.#interrupts?.disable() ?? true,
        this.#invalidation.disable(),
      ];
      if (steps.includes(false)) return false;
    }
    this.abandon();
    return true;
  }

  /**
   * Frees queue and interrupt remapping table although the unit may use them: the memory of a kernel that starts
   * another one is the other's.
   */
  abandon(): void {
    this.#invalidation.free();
    this.#interrupts?.free();
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

/** Throws where the unit cannot remap interrupts, or nothing tells it which entries to drop. */
function checkRemapping(capabilities: VtdCapabilities, invalidation: InvalidationKind, section: string): void {
  if (invalidation === 'registers')
    throw unsupported(
      'interrupt remapping needs queued invalidation: no register drops interrupt entries',
      `use ${section}.invalidation: queued`,
    );
  if (!capabilities.interruptRemapping)
    throw unsupported(
      'this unit does not remap interrupts (ECAP.IR)',
      `leave ${section}.interruptRemapping out, or use a unit that has it: platform.unit.interruptRemapping or ` +
        'machine.intelIommu.interruptRemapping',
    );
}
