import type { TranslationCaches } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import {
  ASID_SHIFT,
  CFGI_ALL,
  CFGI_ALL_RANGE,
  LEAF,
  TLBI_NH_ASID,
  TLBI_NH_VA,
  TLBI_NSNH_ALL,
} from './command-format.ts';
import { CommandQueue, POLLS } from './command-queue.ts';
import { EventQueue, type SmmuEvent } from './event-queue.ts';
import { readCapabilities, type SmmuCapabilities } from './smmu-capabilities.ts';
import { unresponsive, type SmmuFacility } from './smmu-facility.ts';
import {
  ALLOCATE_HINT,
  CACHED_ACCESSES,
  CMDQ_ENABLE,
  COMMAND_ERROR,
  CR0,
  CR0ACK,
  CR1,
  CR2,
  EVENTQ_ENABLE,
  GERROR,
  GERRORN,
  RECORD_STREAMS_PRIVATELY,
  SERVICE_FAILURE,
  SMMU_ENABLE,
  STRTAB_BASE,
  STRTAB_BASE_CFG,
} from './smmu-registers.ts';

const WORD = 0x1_0000_0000;
/** The most pages that are invalidated one by one: beyond, the whole ASID is. */
const MOST_PAGES = 32;

/** What a {@link SmmuUnit} is made for. */
export interface SmmuUnitOptions {
  readonly asid: number;
  /** Bytes of a page of the translation tables. */
  readonly granule: number;
}

/** The stream table that a unit is started with. */
export interface StreamTable {
  readonly address: number;
  /** log2 of its entries. */
  readonly bits: number;
}

/**
 * Programs an SMMUv3 by its registers and queues: bounded waits, and success only where the unit confirms a command.
 * There is one ASID, of one device.
 */
export class SmmuUnit implements TranslationCaches {
  readonly capabilities: SmmuCapabilities;
  readonly #facility: SmmuFacility;
  readonly #commands: CommandQueue;
  readonly #events: EventQueue;
  readonly #asidWord: number;
  readonly #granule: number;
  /** Whether the unit may know the tables or the queues. */
  #isEnabled = false;
  #errors = 0;

  /**
   * `memory` has the queues. Throws {@link DmaError} `ERR_IOMMU_UNSUPPORTED` without a unit that has stage 1, and
   * `ERR_DMA_EXHAUSTED`.
   */
  constructor(facility: SmmuFacility, memory: GuestMemory, { asid, granule }: SmmuUnitOptions) {
    this.#facility = facility;
    this.#asidWord = asid << ASID_SHIFT;
    this.#granule = granule;
    this.capabilities = readCapabilities(facility);
    this.#commands = new CommandQueue(memory, facility, this.capabilities.commandBits);
    try {
      this.#events = new EventQueue(memory, facility, this.capabilities.eventBits);
    } catch (error) {
      this.#commands.free();
      throw error;
    }
  }

  get isTranslating(): boolean {
    return (this.#facility.read32(CR0ACK) & SMMU_ENABLE) !== 0;
  }

  /** How often events were lost because their queue was full. */
  get lostEvents(): number {
    return this.#events.lost;
  }

  /** Global errors that the driver has found in GERROR and acknowledged, those of commands not counted. */
  get globalErrors(): number {
    return this.#errors;
  }

  /**
   * Starts translation, after it has stopped what firmware left running. Throws {@link DmaError}
   * `ERR_IOMMU_UNRESPONSIVE`.
   */
  start({ address, bits }: StreamTable): void {
    const facility = this.#facility;
    this.#enable('disable the unit', 0);
    facility.write32(GERRORN, facility.read32(GERROR));
    facility.write32(CR1, CACHED_ACCESSES);
    facility.write32(CR2, RECORD_STREAMS_PRIVATELY);
    facility.write64(STRTAB_BASE, address % WORD, Math.floor(address / WORD) | ALLOCATE_HINT);
    facility.write32(STRTAB_BASE_CFG, bits);
    this.#isEnabled = true;
    this.#commands.give();
    this.#enable('enable the command queue', CMDQ_ENABLE);
    if (!this.invalidateAll()) throw unresponsive('the first invalidation of all caches was not confirmed');
    this.#events.give();
    this.#enable('enable the event queue', CMDQ_ENABLE | EVENTQ_ENABLE);
    this.#enable('enable translation', CMDQ_ENABLE | EVENTQ_ENABLE | SMMU_ENABLE);
  }

  /**
   * Stops translation, so that the unit reads no table, and frees the queues. Returns whether that is confirmed; if
   * not, the tables must stay. Not called again once it is confirmed.
   */
  stop(): boolean {
    if (this.#isEnabled) {
      const isStopped = this.#isDone(CMDQ_ENABLE) && this.invalidateAll() && this.#isDone(0);
      if (!isStopped) return false;
    }
    this.#commands.free();
    this.#events.free();
    return true;
  }

  /** Invalidates all cached configuration and every translation. Returns whether that is confirmed. */
  invalidateAll(): boolean {
    const commands = this.#commands;
    if (!commands.hasRoom(2)) return false;
    commands.append(CFGI_ALL, 0, CFGI_ALL_RANGE, 0);
    commands.append(TLBI_NSNH_ALL, 0, 0, 0);
    return commands.submit();
  }

  /**
   * Invalidates the cached translations of `count` pages from `page` on, or of the whole ASID where that is many.
   * Returns whether that is confirmed. Hot: no allocation.
   */
  invalidatePages(page: number, count: number): boolean {
    const commands = this.#commands;
    const isWhole = count > MOST_PAGES || count >= commands.most;
    if (!commands.hasRoom(isWhole ? 1 : count)) return false;
    if (isWhole) commands.append(TLBI_NH_ASID, this.#asidWord, 0, 0);
    else {
      // Addresses are below 2 GiB. The tables above stay as they are, so only entries of the last level changed.
      for (let i = 0; i < count; i++)
        commands.append(TLBI_NH_VA, this.#asidWord, ((page + i) * this.#granule) | LEAF, 0);
    }
    return commands.submit();
  }

  /** A unit never caches that nothing is mapped (Arm ARM, TLB maintenance). */
  showPages(): boolean {
    return true;
  }

  /** The events since the last call, of all devices behind the unit. Acknowledges the global errors. */
  takeEvents(): SmmuEvent[] {
    const events = this.#events.take();
    const facility = this.#facility;
    const acknowledged = facility.read32(GERRORN);
    // An error of commands is the command queue's to repair, and the failure of the unit itself stays.
    const active = (facility.read32(GERROR) ^ acknowledged) & ~(COMMAND_ERROR | SERVICE_FAILURE);
    if (active !== 0) {
      this.#errors++;
      facility.write32(GERRORN, acknowledged ^ active);
    }
    return events;
  }

  #enable(what: string, bits: number): void {
    if (!this.#isDone(bits)) throw unresponsive(`the unit does not confirm (CR0ACK) a command: ${what}`);
  }

  #isDone(bits: number): boolean {
    const facility = this.#facility;
    facility.write32(CR0, bits);
    for (let polls = 0; polls < POLLS; polls++) if (facility.read32(CR0ACK) === bits) return true;
    return false;
  }
}
