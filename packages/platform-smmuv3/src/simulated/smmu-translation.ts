import {
  NOT_CACHED,
  SimulatedIotlb,
  TranslatedAddressSpace,
  type AddressTranslation,
  type DeviceAccess,
  type DeviceAddressSpace,
  type FaultCause,
  type FaultLog,
} from '@virtio-platform/core/address-space';
import { PAGE_READ, PAGE_WRITE } from '@virtio-platform/core/dma';
import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import { C_BAD_STREAMID, eventCause, F_PERMISSION, F_TRANSLATION } from '../unit/event-types.ts';
import { OUTPUT_BITS, readCapabilities } from '../unit/smmu-capabilities.ts';
import { CR0ACK, CR2, SMMU_ENABLE } from '../unit/smmu-registers.ts';
import { CD_RECORD, CONFIG_BYPASS, CONFIG_STAGE_1 } from '../unit/table-format.ts';
import { ConfigCache } from './config-cache.ts';
import { EventWriter } from './event-writer.ts';
import { POWERS_OF_TWO } from './powers-of-two.ts';
import { FROZEN, GENERATION, isSmmuState, registerWord, type SmmuState } from './smmu-state.ts';
import { TableWalk } from './table-walk.ts';

const WORD = 0x1_0000_0000;
/** The largest page frame of a cache entry. */
const LAST_FRAME = 2 ** 29 - 1;
/** CR2: StreamIDs without an entry are recorded. */
const RECORD_STREAMS = 2;

/**
 * Translates through a simulated SMMU, in any thread. It looks in the TLB first and then in the tables in guest memory,
 * so a removed entry stays in use until it is invalidated. What is not mapped is not cached. A run ends with its page.
 */
export class SmmuTranslation implements AddressTranslation {
  run = 0;
  cause: FaultCause = 'unmapped';
  readonly #registers: Int32Array;
  readonly #control: Int32Array;
  readonly #iotlb: SimulatedIotlb;
  readonly #cache: ConfigCache;
  readonly #walk: TableWalk;
  readonly #events: EventWriter | undefined;
  readonly #memorySize: number;

  /** With `records` false, for lookups, there are no events. */
  constructor(memory: GuestMemory, state: SmmuState, records: boolean = true) {
    this.#registers = new Int32Array(state.registers);
    this.#control = new Int32Array(state.control);
    this.#iotlb = new SimulatedIotlb(state);
    this.#memorySize = memory.size;
    this.#events = records ? new EventWriter(memory, state) : undefined;
    const { granules, outputCode } = readCapabilities(registerReader(state));
    const outputBits = OUTPUT_BITS[outputCode]!;
    const pageShifts = new Set(granules.map((granule) => Math.log2(granule)));
    this.#cache = new ConfigCache(memory, state, { pageShifts, outputBits });
    this.#walk = new TableWalk(memory, outputBits);
  }

  get generation(): number {
    return Atomics.load(this.#control, GENERATION);
  }

  get seenGeneration(): number {
    return this.#control[GENERATION]!;
  }

  translate(low: number, high: number, access: DeviceAccess): number {
    if ((Atomics.load(this.#registers, CR0ACK / 4) & SMMU_ENABLE) === 0) return this.#letThrough(low, high);
    this.run = PAGE_SIZE - (low % PAGE_SIZE);
    const type = this.#cache.load();
    if (type !== 0) {
      const isRecorded = type !== C_BAD_STREAMID || (this.#registers[CR2 / 4]! & RECORD_STREAMS) !== 0;
      return this.#refuse(low, high, access, type, isRecorded, false);
    }
    const { config } = this.#cache;
    if (config.kind === CONFIG_BYPASS) return this.#letThrough(low, high);
    // An abort by configuration is no event.
    if (config.kind !== CONFIG_STAGE_1) return this.#refuse(low, high, access, F_TRANSLATION, false, false);
    return this.#translatePage(low, high, access);
  }

  freeze(isFrozen: boolean): void {
    Atomics.store(this.#control, FROZEN, isFrozen ? 1 : 0);
  }

  #translatePage(low: number, high: number, access: DeviceAccess): number {
    const { config } = this.#cache;
    const { tag, pageShift } = config;
    const isRecorded = (config.rules & CD_RECORD) !== 0;
    if (high * WORD + low >= POWERS_OF_TWO[config.addressBits]!)
      return this.#refuse(low, high, access, F_TRANSLATION, isRecorded, true);
    const granule = POWERS_OF_TWO[pageShift]!;
    const page = high * POWERS_OF_TWO[32 - pageShift]! + (low >>> pageShift);
    let entry = this.#iotlb.find(tag, page);
    if (entry === NOT_CACHED) {
      const generation = this.generation;
      const type = this.#walk.walk(config, low, high);
      if (type !== 0) return this.#refuse(low, high, access, type, isRecorded, true);
      // Memory is smaller than that, so all frames beyond the last are equally outside of it.
      entry = Math.min(this.#walk.page / PAGE_SIZE, LAST_FRAME) * 4 + this.#walk.permissions;
      this.#iotlb.fill(tag, page, entry);
      // The tables may have changed since the walk, with an invalidation before this entry was cached.
      if (generation !== this.generation) this.#iotlb.forget(page);
    }
    this.run = granule - (low % granule);
    const needed = access === 'read' ? PAGE_READ : PAGE_WRITE;
    if ((entry & needed) !== 0) return (entry >>> 2) * PAGE_SIZE + (low % granule);
    return this.#refuse(low, high, access, F_PERMISSION, isRecorded, true);
  }

  #letThrough(low: number, high: number): number {
    const address = high * WORD + low;
    this.run = this.#memorySize - address;
    if (this.run > 0) return address;
    this.run = PAGE_SIZE - (low % PAGE_SIZE);
    this.cause = 'outside-memory';
    return -1;
  }

  #refuse(
    low: number,
    high: number,
    access: DeviceAccess,
    type: number,
    isRecorded: boolean,
    isOfTranslation: boolean,
  ): -1 {
    if (isRecorded) this.#events?.write(type, access, low, high, isOfTranslation);
    this.cause = eventCause(type, access);
    return -1;
  }
}

/** Reads the registers without side effects, for {@link readCapabilities}. */
function registerReader(state: SmmuState): Parameters<typeof readCapabilities>[0] {
  const registers = new Uint32Array(state.registers);
  return {
    streamId: state.streamId,
    read32: (offset) => registers[registerWord(offset)]!,
    write32: () => {},
    write64: () => {},
  };
}

/** The URL from which a worker imports {@link openAddressSpace}. */
export const ADDRESS_SPACE_MODULE: string = import.meta.url;

/** Opens the address space of a device behind a simulated SMMU, in this thread or another. */
export function openAddressSpace(memory: GuestMemory, faults: FaultLog, state: unknown): DeviceAddressSpace {
  if (!isSmmuState(state)) throw new TypeError('the state of an smmuv3 address space is that of a simulated SMMU');
  return new TranslatedAddressSpace(memory, faults, new SmmuTranslation(memory, state, !faults.isForLookups));
}
