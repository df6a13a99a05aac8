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
  GLOBAL,
  GRANULARITY_MASK,
  GSTS_REG,
  IOTLB_ACTUAL_SHIFT,
  IOTLB_INVALIDATE,
  IOTLB_OFFSET,
  IOTLB_REQUEST_SHIFT,
  IVA_OFFSET,
  PAGE_SHIFT,
  RTADDR_REG,
  SET_ROOT_POINTER,
  TRANSLATION_ENABLE,
  VER_REG,
} from '../unit/vtd-registers.ts';
import { FaultRecords } from './fault-records.ts';
import { SimulatedIotlb } from './simulated-iotlb.ts';
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
  CONTEXT_CACHED,
  CONTEXT_DOMAIN,
  FROZEN,
  GENERATION,
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

/** How to set up a {@link SimulatedVtd}. */
export interface SimulatedVtdOptions extends SimulatedUnitOptions {
  /** Requester id of the device; 00:04.0 unless given. */
  readonly sourceId?: number;
}

/**
 * A remapping unit in software, by its registers: legacy mode with register-based invalidation, as QEMU 7.2 without
 * queued invalidation. A command is done when the write returns. While a device relies on identity addresses the unit
 * is frozen: commands do nothing, and invalidations report that nothing was invalidated.
 */
export class SimulatedVtd implements VtdFacility {
  readonly sourceId: number;
  readonly state: VtdState;
  readonly #registers: Uint32Array;
  readonly #control: Int32Array;
  readonly #iotlb: SimulatedIotlb;
  readonly #faults: FaultRecords;
  readonly #faultEnd: number;

  constructor(options: SimulatedVtdOptions) {
    this.sourceId = options.sourceId ?? 0x20;
    this.state = allocateVtdState(this.sourceId);
    this.#registers = new Uint32Array(this.state.registers);
    this.#control = new Int32Array(this.state.control);
    this.#iotlb = new SimulatedIotlb(this.state);
    this.#faults = new FaultRecords(this.state, options.faultRecords);
    this.#faultEnd = FAULT_RECORDS + options.faultRecords * FRCD_SIZE;
    const [low, high] = simulatedCap(options);
    this.#set(VER_REG, VERSION);
    this.#set(CAP_REG, low);
    this.#set(CAP_REG + 4, high);
    this.#set(ECAP_REG, simulatedEcap(options));
  }

  /** Offsets without a register read as 0. */
  read32(offset: number): number {
    return offset >= 0 && offset < REGISTER_BYTES ? Atomics.load(this.#registers, offset >>> 2) : 0;
  }

  /** Does not call {@link read32}: its result would be an allocated number. */
  read64(offset: number, words: Uint32Array): void {
    const isRegister = offset >= 0 && offset + 4 < REGISTER_BYTES;
    words[0] = isRegister ? Atomics.load(this.#registers, offset >>> 2) : 0;
    words[1] = isRegister ? Atomics.load(this.#registers, (offset >>> 2) + 1) : 0;
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
        if ((value & FAULT_OVERFLOW) !== 0) this.#faults.clearOverflow();
        return;
      case RTADDR_REG:
      case RTADDR_REG + 4:
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

  get #isFrozen(): boolean {
    return Atomics.load(this.#control, FROZEN) !== 0;
  }

  #set(offset: number, value: number): void {
    Atomics.store(this.#registers, offset >>> 2, value);
  }

  #writeFaultRecord(offset: number, value: number): void {
    if (offset < FAULT_RECORDS || offset >= this.#faultEnd || value < FAULT_RECORDED) return;
    if (offset % FRCD_SIZE === FRCD_LAST_WORD) this.#faults.clear(Math.floor((offset - FAULT_RECORDS) / FRCD_SIZE));
  }

  /** A write-buffer flush and unsupported commands complete at once: the status never shows them. */
  #command(value: number): void {
    if (this.#isFrozen) return;
    let status = this.read32(GSTS_REG);
    if ((value & SET_ROOT_POINTER) !== 0) {
      Atomics.store(this.#control, ROOT_LOW, this.read32(RTADDR_REG));
      Atomics.store(this.#control, ROOT_HIGH, this.read32(RTADDR_REG + 4));
      status |= SET_ROOT_POINTER;
    }
    const isEnabled = (value & TRANSLATION_ENABLE) !== 0;
    status = isEnabled ? status | TRANSLATION_ENABLE : status & ~TRANSLATION_ENABLE;
    this.#set(GSTS_REG, status);
    this.#nextGeneration();
  }

  /** Drops the cached context if the command is global, or names its domain, or its domain and device. */
  #commandContext(value: number): void {
    if (value < CONTEXT_INVALIDATE) return this.#set(CCMD_REG + 4, value);
    let actual = (value >>> CONTEXT_REQUEST_SHIFT) & GRANULARITY_MASK;
    if (this.#isFrozen) actual = 0;
    const low = this.read32(CCMD_REG);
    const isOfDomain = (low & 0xffff) === this.#control[CONTEXT_DOMAIN];
    const isOfDevice = low >>> 16 === this.sourceId;
    if (actual === GLOBAL || (actual !== 0 && isOfDomain && (actual === DOMAIN_SELECTIVE || isOfDevice))) {
      Atomics.store(this.#control, CONTEXT_CACHED, 0);
      this.#nextGeneration();
    }
    this.#set(CCMD_REG + 4, (actual << CONTEXT_ACTUAL_SHIFT) >>> 0);
  }

  #commandIotlb(value: number): void {
    if (value < IOTLB_INVALIDATE) return this.#set(IOTLB + 4, value);
    let actual = (value >>> IOTLB_REQUEST_SHIFT) & GRANULARITY_MASK;
    const address = this.read32(IVA);
    const mask = address & MASK_BITS;
    const isPages = actual > DOMAIN_SELECTIVE;
    if (this.#isFrozen || (isPages && mask > LARGEST_MASK)) actual = 0;
    // The generation changes first: a translation that is cached meanwhile sees the change and drops itself.
    if (actual !== 0) this.#nextGeneration();
    const domain = value & 0xffff;
    if (actual === GLOBAL) this.#iotlb.dropAll();
    else if (actual === DOMAIN_SELECTIVE) this.#iotlb.dropDomain(domain);
    else if (actual !== 0) {
      const count = 2 ** mask;
      const page = this.read32(IVA + 4) * 2 ** 20 + (address >>> PAGE_SHIFT);
      this.#iotlb.dropPages(domain, Math.floor(page / count) * count, count);
    }
    this.#set(IOTLB + 4, ((actual << IOTLB_ACTUAL_SHIFT) | domain) >>> 0);
  }

  #nextGeneration(): void {
    Atomics.add(this.#control, GENERATION, 1);
  }
}

/**
 * Simulates a remapping unit. A device without ACCESS_PLATFORM bypasses it, as in QEMU, unless it confines every
 * device.
 */
export function simulateIntelIommu(_memory: GuestMemory, options: IntelIommuOptions): SimulatedHardware {
  const unit = new SimulatedVtd(options.unit);
  const translated = { module: ADDRESS_SPACE_MODULE, state: unit.state, open: openAddressSpace };
  return {
    facilities: new Map([[VTD_FACILITY, unit]]),
    addressSpace: (offersAccessPlatform) =>
      offersAccessPlatform || options.confinesEveryDevice ? translated : PHYSICAL_ADDRESS_SPACE,
  };
}
