import type { SimulatedHardware } from '@virtio-platform/core';
import { PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { SimulatedUnitOptions, IntelIommuOptions } from '../intel-iommu-options.ts';
import { VTD_FACILITY, type VtdFacility } from '../unit/vtd-facility.ts';
import {
  CAP_REG,
  CCMD_REG,
  CONTEXT_ACTUAL_SHIFT,
  CONTEXT_INVALIDATE,
  CONTEXT_REQUEST_SHIFT,
  DOMAIN_SELECTIVE,
  ECAP_REG,
  FAULT_OVERFLOW,
  FAULT_RECORDED,
  FECTL_REG,
  FRCD_LAST_WORD,
  FRCD_SIZE,
  FSTS_REG,
  GCMD_REG,
  GRANULARITY_MASK,
  GSTS_REG,
  IOTLB_ACTUAL_SHIFT,
  IOTLB_INVALIDATE,
  IOTLB_OFFSET,
  IOTLB_REQUEST_SHIFT,
  IVA_OFFSET,
  PAGE_SHIFT,
  QUEUED_INVALIDATION_ENABLE,
  RTADDR_REG,
  SET_ROOT_POINTER,
  TRANSLATION_ENABLE,
  VER_REG,
} from '../unit/vtd-registers.ts';
import {
  COMPATIBILITY_FORMAT_ENABLE,
  INTERRUPT_REMAPPING_ENABLE,
  IRTA_REG,
  SET_INTERRUPT_TABLE,
} from '../unit/interrupt-format.ts';
import { IQA_REG, IQT_REG, QUEUE_ERRORS } from '../unit/queue-format.ts';
import { FaultRecords } from './fault-records.ts';
import { SimulatedQueue } from './simulated-queue.ts';
import { UnitCaches } from './unit-caches.ts';
import {
  FAULT_RECORDS,
  INVALIDATE_ADDRESS,
  LARGEST_MASK,
  simulatedCap,
  simulatedEcap,
  VERSION,
} from './simulated-capabilities.ts';
import {
  allocateVtdState,
  INTERRUPT_TABLE_HIGH,
  INTERRUPT_TABLE_LOW,
  REGISTER_BYTES,
  ROOT_HIGH,
  ROOT_LOW,
  type VtdState,
} from './vtd-state.ts';
import { ADDRESS_SPACE_MODULE, openAddressSpace } from './vtd-translation.ts';

const IVA = INVALIDATE_ADDRESS + IVA_OFFSET;
const IOTLB = INVALIDATE_ADDRESS + IOTLB_OFFSET;
/** Bits of IVA with log2 of the number of pages. */
const MASK_BITS = 0x3f;

/** What the global status shows of the commands that are done at once and stay done. */
const POINTERS_SET = SET_ROOT_POINTER | SET_INTERRUPT_TABLE;

/** How to set up a {@link SimulatedVtd}. */
export interface SimulatedVtdOptions extends SimulatedUnitOptions {
  /** Requester id of the device; 00:04.0 unless given. */
  readonly sourceId?: number;
  /** Guest memory, where the unit finds an invalidation queue; without it, it has none and remaps no interrupts. */
  readonly memory?: GuestMemory;
}

/**
 * A remapping unit in software, by its registers: legacy and scalable mode, invalidation by registers and through a
 * queue, as QEMU 7.2, and interrupt remapping by the specification. A command is done when the write returns. While a
 * queue is enabled, the invalidation registers answer nothing. While a device relies on identity addresses the unit is
 * frozen: commands do nothing, invalidations report that nothing was invalidated, and descriptors of a queue wait.
 */
export class SimulatedVtd implements VtdFacility {
  readonly sourceId: number;
  readonly state: VtdState;
  readonly #registers: Uint32Array;
  readonly #control: Int32Array;
  readonly #caches: UnitCaches;
  readonly #queue: SimulatedQueue | undefined;
  readonly #remapsInterrupts: boolean;
  readonly #faults: FaultRecords;
  readonly #faultEnd: number;

  constructor(options: SimulatedVtdOptions) {
    this.sourceId = options.sourceId ?? 0x20;
    this.state = allocateVtdState(this.sourceId);
    this.#registers = new Uint32Array(this.state.registers);
    this.#control = new Int32Array(this.state.control);
    this.#caches = new UnitCaches(this.state);
    const { memory, queuedInvalidation, interruptRemapping } = options;
    if (queuedInvalidation && memory !== undefined)
      this.#queue = new SimulatedQueue(memory, this.state, this.#caches, options);
    this.#remapsInterrupts = this.#queue !== undefined && interruptRemapping;
    this.#faults = new FaultRecords(this.state, options.faultRecords);
    this.#faultEnd = FAULT_RECORDS + options.faultRecords * FRCD_SIZE;
    const capabilities = { ...options, queuedInvalidation: this.#queue !== undefined };
    this.#set(VER_REG, VERSION);
    for (const [offset, words] of [
      [CAP_REG, simulatedCap(capabilities)],
      [ECAP_REG, simulatedEcap(capabilities)],
    ] as const)
      words.forEach((word, i) => this.#set(offset + 4 * i, word));
  }

  /** Offsets without a register read as 0. */
  read32(offset: number): number {
    return offset >= 0 && offset < REGISTER_BYTES ? this.#get(offset) : 0;
  }

  /** Does not call {@link read32}: its result would be an allocated number. */
  read64(offset: number, words: Uint32Array): void {
    const isRegister = offset >= 0 && offset + 4 < REGISTER_BYTES;
    words[0] = isRegister ? this.#get(offset) : 0;
    words[1] = isRegister ? this.#get(offset + 4) : 0;
  }

  /** Writes the high word last: it contains the command. */
  write64(offset: number, low: number, high: number): void {
    this.write32(offset, low);
    this.write32(offset + 4, high);
  }

  write32(offset: number, value: number): void {
    switch (offset) {
      case GCMD_REG:
        return this.#command(value);
      case CCMD_REG + 4:
        return this.#commandContext(value);
      case IOTLB + 4:
        return this.#commandIotlb(value);
      case FSTS_REG:
        Atomics.and(this.#registers, FSTS_REG / 4, ~(value & (FAULT_OVERFLOW | QUEUE_ERRORS)));
        return;
      case IQT_REG:
        this.#set(offset, value);
        return this.#queue?.run();
      case IQA_REG:
      case IQA_REG + 4:
      case IQT_REG + 4:
      case RTADDR_REG:
      case RTADDR_REG + 4:
      case IRTA_REG:
      case IRTA_REG + 4:
      case CCMD_REG:
      case IVA:
      case IVA + 4:
      case IOTLB:
      case FECTL_REG:
        return this.#set(offset, value);
      default:
        this.#writeFaultRecord(offset, value);
    }
  }

  #get(offset: number): number {
    return isShared(offset) ? Atomics.load(this.#registers, offset >>> 2) : this.#registers[offset >>> 2]!;
  }

  #set(offset: number, value: number): void {
    if (isShared(offset)) Atomics.store(this.#registers, offset >>> 2, value);
    else this.#registers[offset >>> 2] = value;
  }

  #writeFaultRecord(offset: number, value: number): void {
    if (offset < FAULT_RECORDS || offset >= this.#faultEnd || value < FAULT_RECORDED) return;
    if (offset % FRCD_SIZE === FRCD_LAST_WORD) this.#faults.clear(Math.floor((offset - FAULT_RECORDS) / FRCD_SIZE));
  }

  /** A write-buffer flush and unsupported commands complete at once: the status never shows them. */
  #command(value: number): void {
    if (this.#caches.isFrozen) return;
    let status = (this.read32(GSTS_REG) & POINTERS_SET) | (value & TRANSLATION_ENABLE);
    if ((value & SET_ROOT_POINTER) !== 0) {
      Atomics.store(this.#control, ROOT_LOW, this.read32(RTADDR_REG));
      Atomics.store(this.#control, ROOT_HIGH, this.read32(RTADDR_REG + 4));
      status |= SET_ROOT_POINTER;
    }
    if (this.#remapsInterrupts) status |= this.#commandInterrupts(value);
    this.#set(GSTS_REG, status | this.#commandQueue((value & QUEUED_INVALIDATION_ENABLE) !== 0));
    this.#caches.nextGeneration();
  }

  /** Returns the bits of the status that say what was done. Cached entries stay when the table changes. */
  #commandInterrupts(value: number): number {
    const lasting = value & (INTERRUPT_REMAPPING_ENABLE | COMPATIBILITY_FORMAT_ENABLE);
    if ((value & SET_INTERRUPT_TABLE) === 0) return lasting;
    Atomics.store(this.#control, INTERRUPT_TABLE_LOW, this.read32(IRTA_REG));
    Atomics.store(this.#control, INTERRUPT_TABLE_HIGH, this.read32(IRTA_REG + 4));
    return lasting | SET_INTERRUPT_TABLE;
  }

  /** Returns the bit of the status that says whether the queue is enabled. */
  #commandQueue(on: boolean): number {
    if (on) this.#queue?.enable();
    else this.#queue?.disable();
    return this.#queue?.isEnabled === true ? QUEUED_INVALIDATION_ENABLE : 0;
  }

  #commandContext(value: number): void {
    if (value < CONTEXT_INVALIDATE || this.#queue?.isEnabled === true) return this.#set(CCMD_REG + 4, value);
    let actual = (value >>> CONTEXT_REQUEST_SHIFT) & GRANULARITY_MASK;
    if (this.#caches.isFrozen) actual = 0;
    const low = this.read32(CCMD_REG);
    if (actual !== 0) this.#caches.dropContexts(actual, low & 0xffff, low >>> 16);
    this.#set(CCMD_REG + 4, (actual << CONTEXT_ACTUAL_SHIFT) >>> 0);
  }

  #commandIotlb(value: number): void {
    if (value < IOTLB_INVALIDATE || this.#queue?.isEnabled === true) return this.#set(IOTLB + 4, value);
    let actual = (value >>> IOTLB_REQUEST_SHIFT) & GRANULARITY_MASK;
    const address = this.read32(IVA);
    const mask = address & MASK_BITS;
    const isPages = actual > DOMAIN_SELECTIVE;
    if (this.#caches.isFrozen || (isPages && mask > LARGEST_MASK)) actual = 0;
    const domain = value & 0xffff;
    const page = this.read32(IVA + 4) * 2 ** 20 + (address >>> PAGE_SHIFT);
    if (actual !== 0) this.#caches.dropTranslations(actual, domain, page, mask);
    this.#set(IOTLB + 4, ((actual << IOTLB_ACTUAL_SHIFT) | domain) >>> 0);
  }
}

/** Whether the device's thread uses a register too: such a one is accessed in order. */
function isShared(offset: number): boolean {
  return offset === GSTS_REG || offset === FSTS_REG || offset >= FAULT_RECORDS;
}

/**
 * Simulates a remapping unit. A device without ACCESS_PLATFORM bypasses it, as in QEMU, unless it confines every
 * device.
 */
export function simulateIntelIommu(memory: GuestMemory, options: IntelIommuOptions): SimulatedHardware {
  const unit = new SimulatedVtd({ ...options.unit, memory });
  const translated = { module: ADDRESS_SPACE_MODULE, state: unit.state, open: openAddressSpace };
  return {
    facilities: new Map([[VTD_FACILITY, unit]]),
    addressSpace: (offersAccessPlatform) =>
      offersAccessPlatform || options.confinesEveryDevice ? translated : PHYSICAL_ADDRESS_SPACE,
  };
}
