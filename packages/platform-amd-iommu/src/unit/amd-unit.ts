import type { TranslationCaches } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { readCapabilities, type AmdCapabilities } from './amd-capabilities.ts';
import { unresponsive, type AmdIommuFacility } from './amd-facility.ts';
import {
  COMMAND_ENABLE,
  COMMANDS_RUN,
  DEVICE_TABLE_REG,
  EVENT_LOG_ENABLE,
  EVENT_LOG_RUNS,
  IOMMU_ENABLE,
} from './amd-registers.ts';
import { CommandBuffer } from './command-buffer.ts';
import {
  EVERY_PAGE_HIGH,
  EVERY_PAGE_LOW,
  INVALIDATE_ALL,
  INVALIDATE_DEVICE_ENTRY,
  INVALIDATE_PAGES,
  PAGES_DIRECTORIES,
  PAGES_SIZED,
} from './command-format.ts';
import { EventLog, type AmdEvent } from './event-log.ts';
import { UnitControl } from './unit-control.ts';

const WORD = 0x1_0000_0000;
const PAGE_SHIFT = 12;
/** How often `showPages` tries an invalidation; after the last try the mapping is refused. */
const ATTEMPTS = 3;
/** The most commands of a batch: entry of the device, its translations. */
const BATCH = 2;

/**
 * Programs a unit: bounded waits, and success only where the unit confirms a command. There is one domain, of one
 * device.
 */
export class AmdUnit implements TranslationCaches {
  readonly capabilities: AmdCapabilities;
  readonly #facility: AmdIommuFacility;
  readonly #control: UnitControl;
  readonly #commands: CommandBuffer;
  readonly #events: EventLog;
  readonly #domain: number;
  /** Whether the unit may know the tables and the buffers. */
  #isEnabled = false;

  /** Throws {@link DmaError} `ERR_IOMMU_UNSUPPORTED` without a unit, and `ERR_DMA_EXHAUSTED`. */
  constructor(facility: AmdIommuFacility, memory: GuestMemory, domain: number) {
    this.#facility = facility;
    this.#domain = domain;
    this.#control = new UnitControl(facility);
    this.capabilities = readCapabilities(facility);
    this.#commands = new CommandBuffer(memory, facility, this.#control);
    try {
      this.#events = new EventLog(memory, facility, this.#control);
    } catch (error) {
      this.#commands.free();
      throw error;
    }
  }

  get isTranslating(): boolean {
    return this.#control.isOn(IOMMU_ENABLE);
  }

  /**
   * Starts the unit with a device table of `bytes`, a multiple of 4 KiB. Stops first what firmware left running. Throws
   * {@link DmaError} `ERR_IOMMU_UNRESPONSIVE`.
   */
  start(table: number, bytes: number): void {
    if (!this.#disable()) throw unresponsive('it does not stop what firmware left running');
    this.#isEnabled = true;
    this.#facility.write64(DEVICE_TABLE_REG, (table % WORD) + bytes / 4096 - 1, Math.floor(table / WORD));
    this.#events.prepare();
    this.#commands.prepare();
    // Commands are fetched, and events logged, only by a unit that translates; so all three begin at once.
    this.#control.set(IOMMU_ENABLE | EVENT_LOG_ENABLE | COMMAND_ENABLE, true);
    if (!this.isTranslating) throw unresponsive('it does not translate');
    if (!this.#control.shows(EVENT_LOG_RUNS, true)) throw unresponsive('it does not log events');
    if (!this.#control.shows(COMMANDS_RUN, true)) throw unresponsive('it does not fetch commands');
    if (!this.invalidateAll()) throw unresponsive('the first invalidation of all caches was not confirmed');
  }

  /**
   * Stops the unit and frees its buffers. Returns whether that is confirmed; if not, the tables must stay. Not called
   * again once it is confirmed.
   */
  stop(): boolean {
    if (this.#isEnabled) {
      // A unit that does not translate fetches no commands.
      if (!this.invalidateAll() || !this.#disable()) return false;
    }
    this.#commands.free();
    this.#events.free();
    return true;
  }

  #disable(): boolean {
    if (!this.#commands.disable() || !this.#events.disable()) return false;
    this.#control.set(IOMMU_ENABLE, false);
    return !this.isTranslating;
  }

  /** Has the unit drop everything: by one command where it has it. Returns whether that is confirmed. */
  invalidateAll(): boolean {
    const commands = this.#commands;
    if (!commands.hasRoom(BATCH)) return false;
    if (this.capabilities.invalidatesAll) commands.append(INVALIDATE_ALL, 0, 0, 0, 0);
    else {
      commands.append(INVALIDATE_DEVICE_ENTRY, this.#facility.sourceId, 0, 0, 0);
      const low = EVERY_PAGE_LOW + PAGES_SIZED + PAGES_DIRECTORIES;
      commands.append(INVALIDATE_PAGES, 0, this.#domain, low, EVERY_PAGE_HIGH);
    }
    return commands.submit();
  }

  /**
   * Has the unit drop the translations of the smallest naturally aligned block of pages around `count` from `page` on.
   * Returns whether that is confirmed. Hot: no allocation.
   */
  invalidatePages(page: number, count: number): boolean {
    if (!this.#commands.hasRoom(1)) return false;
    // In an address with a size, the lowest bit that is 0 says it: bit 12 of two pages, bit 13 of four.
    const size = 32 - Math.clz32(page ^ (page + count - 1));
    const first = size === 0 ? page : (page & -(2 ** size)) | (2 ** (size - 1) - 1);
    const low = (first << PAGE_SHIFT) | PAGES_DIRECTORIES | (size === 0 ? 0 : PAGES_SIZED);
    this.#commands.append(INVALIDATE_PAGES, 0, this.#domain, low, first >>> (32 - PAGE_SHIFT));
    return this.#commands.submit();
  }

  /** A unit that caches that nothing was there has to drop that. Hot: no allocation. */
  showPages(page: number, count: number): boolean {
    if (!this.capabilities.cachesAbsence) return true;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) if (this.invalidatePages(page, count)) return true;
    return false;
  }

  /** Takes the events of all devices. */
  takeEvents(): AmdEvent[] {
    return this.#events.take();
  }
}
