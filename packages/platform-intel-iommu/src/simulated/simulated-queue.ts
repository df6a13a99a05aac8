import type { GuestMemory } from '@virtio-platform/core/memory';
import {
  CONTEXT_DESCRIPTOR,
  DESCRIPTOR_DOMAIN_SHIFT,
  DESCRIPTOR_GRANULARITY_SHIFT,
  DESCRIPTOR_TYPE_MASK,
  ICS_REG,
  IOTLB_DESCRIPTOR,
  IQA_REG,
  IQH_REG,
  IQT_REG,
  PASID_DESCRIPTOR,
  QUEUE_ERROR,
  QUEUE_SIZE_MASK,
  WAIT_DESCRIPTOR,
  WAIT_INTERRUPTS,
  WAIT_IS_FENCE,
  WAIT_WRITES_STATUS,
  WIDE_DESCRIPTORS,
} from '../unit/queue-format.ts';
import {
  INTERRUPT_DESCRIPTOR,
  INTERRUPT_DESCRIPTOR_MASK_SHIFT,
  INTERRUPT_DESCRIPTOR_SELECTIVE,
} from '../unit/interrupt-format.ts';
import { DOMAIN_SELECTIVE, FSTS_REG, GRANULARITY_MASK, PAGE_SHIFT } from '../unit/vtd-registers.ts';
import type { SimulatedUnitOptions } from '../intel-iommu-options.ts';
import { LARGEST_ENTRY_MASK, LARGEST_MASK } from './simulated-capabilities.ts';
import type { UnitCaches } from './unit-caches.ts';
import type { VtdState } from './vtd-state.ts';

const WORD = 0x1_0000_0000;
const PAGE = 4096;
const DESCRIPTOR_BYTES = 16;
const WIDE_BYTES = 32;
/** Bits of the address word with log2 of the number of pages. */
const MASK_BITS = 0x3f;
/** Reserved bits of the address word of a translation. */
const ADDRESS_RESERVED = 0xf80;
/** Reserved bits of the first words, by type. */
const CONTEXT_RESERVED = 0xffc0;
const IOTLB_RESERVED = 0xff00;
const PASID_RESERVED = 0xffc0;
const INTERRUPT_RESERVED = 0x07ff_ffe0;
const WAIT_RESERVED = ~(DESCRIPTOR_TYPE_MASK | WAIT_INTERRUPTS | WAIT_WRITES_STATUS | WAIT_IS_FENCE);
/** Bits of the second word: the device and its function mask, and the PASID. */
const DEVICE_BITS = 0x3_ffff;
const PASID_BITS = 0xf_ffff;
/** Bits of the second word: the index of an interrupt entry. */
const INDEX_BITS = 0xffff;
/** The granularity of PASIDs that does not exist. */
const NO_PASIDS = 2;

/**
 * The invalidation queue of a simulated unit. A write of the tail executes what is between head and tail, out of guest
 * memory, in the driver's thread. The unit stops at a descriptor that it cannot execute, with the head on it and an
 * error in the fault status, until the error is cleared and the tail written again. While a device relies on identity
 * addresses it executes nothing, and the head stays.
 */
export class SimulatedQueue {
  readonly #memory: GuestMemory;
  readonly #registers: Int32Array;
  readonly #caches: UnitCaches;
  readonly #isScalable: boolean;
  readonly #remapsInterrupts: boolean;
  #isEnabled = false;
  #base = 0;
  #bytes = 0;
  #descriptorBytes = DESCRIPTOR_BYTES;

  /**
   * A unit with scalable mode also has descriptors of 256 bits, and caches entries of PASID tables. One that remaps
   * interrupts caches entries of their table.
   */
  constructor(
    memory: GuestMemory,
    state: VtdState,
    caches: UnitCaches,
    { scalableMode, interruptRemapping }: Pick<SimulatedUnitOptions, 'scalableMode' | 'interruptRemapping'>,
  ) {
    this.#isScalable = scalableMode;
    this.#remapsInterrupts = interruptRemapping;
    this.#memory = memory;
    this.#registers = new Int32Array(state.registers);
    this.#caches = caches;
  }

  get isEnabled(): boolean {
    return this.#isEnabled;
  }

  /** Takes over address and size, which change only here. */
  enable(): void {
    if (this.#isEnabled) return;
    const low = this.#read(IQA_REG);
    this.#base = this.#read(IQA_REG + 4) * WORD + low - (low % PAGE);
    this.#bytes = PAGE << (low & QUEUE_SIZE_MASK);
    this.#descriptorBytes = this.#isScalable && (low & WIDE_DESCRIPTORS) !== 0 ? WIDE_BYTES : DESCRIPTOR_BYTES;
    this.#set(IQH_REG, 0);
    this.#isEnabled = true;
    this.run();
  }

  /** Only an empty queue can be disabled. */
  disable(): void {
    if (this.#read(IQH_REG) !== this.#read(IQT_REG)) return;
    this.#set(IQH_REG, 0);
    this.#isEnabled = false;
  }

  /** Executes descriptors up to the tail; each of a queue at most once. */
  run(): void {
    const tail = this.#read(IQT_REG);
    for (let count = this.#bytes / this.#descriptorBytes; count > 0; count--) {
      const head = this.#read(IQH_REG);
      if (!this.#isEnabled || this.#caches.isFrozen || head === tail || this.#hasStopped) return;
      const isTail = tail < this.#bytes && tail % this.#descriptorBytes === 0;
      const address = this.#base + head;
      if (!isTail || !this.#memory.contains(address, this.#descriptorBytes) || !this.#execute(address / 4)) {
        Atomics.or(this.#registers, FSTS_REG / 4, QUEUE_ERROR);
        return;
      }
      this.#set(IQH_REG, (head + this.#descriptorBytes) % this.#bytes);
    }
  }

  get #hasStopped(): boolean {
    return (Atomics.load(this.#registers, FSTS_REG / 4) & QUEUE_ERROR) !== 0;
  }

  /**
   * Whether the descriptor was one that this unit knows, with nothing in reserved fields. As in QEMU, a wait descriptor
   * asks for something.
   */
  #execute(at: number): boolean {
    const { u32 } = this.#memory;
    const first = Atomics.load(u32, at);
    const [second, third, fourth] = [u32[at + 1]!, u32[at + 2]!, u32[at + 3]!];
    for (let word = 4; word < this.#descriptorBytes / 4; word++) if (u32[at + word] !== 0) return false;
    const granularity = (first >>> DESCRIPTOR_GRANULARITY_SHIFT) & GRANULARITY_MASK;
    const domain = first >>> DESCRIPTOR_DOMAIN_SHIFT;
    switch (first & DESCRIPTOR_TYPE_MASK) {
      case CONTEXT_DESCRIPTOR:
        if (granularity === 0 || (first & CONTEXT_RESERVED) !== 0 || (second & ~DEVICE_BITS) !== 0) return false;
        this.#caches.dropContexts(granularity, domain, second & 0xffff);
        return true;
      case IOTLB_DESCRIPTOR:
        if (granularity === 0 || (first & IOTLB_RESERVED) !== 0 || (third & ADDRESS_RESERVED) !== 0) return false;
        if (granularity > DOMAIN_SELECTIVE && (third & MASK_BITS) > LARGEST_MASK) return false;
        this.#caches.dropTranslations(
          granularity,
          domain,
          fourth * 2 ** 20 + (third >>> PAGE_SHIFT),
          third & MASK_BITS,
        );
        return true;
      case PASID_DESCRIPTOR:
        if (!this.#isScalable || granularity === NO_PASIDS) return false;
        if ((first & PASID_RESERVED) !== 0 || (second & ~PASID_BITS) !== 0) return false;
        this.#caches.dropPasids(granularity, domain, second);
        return true;
      case INTERRUPT_DESCRIPTOR:
        if (!this.#remapsInterrupts || (first & INTERRUPT_RESERVED) !== 0) return false;
        if ((second & ~INDEX_BITS) !== 0 || third !== 0 || fourth !== 0) return false;
        return this.#dropInterrupts(first, second);
      case WAIT_DESCRIPTOR:
        if ((first & WAIT_RESERVED) !== 0 || (first & (WAIT_WRITES_STATUS | WAIT_INTERRUPTS)) === 0) return false;
        return this.#complete(first, second, fourth * WORD + third);
      default:
        return false;
    }
  }

  /** Returns whether the unit can drop that many entries at once. */
  #dropInterrupts(first: number, index: number): boolean {
    const mask = first >>> INTERRUPT_DESCRIPTOR_MASK_SHIFT;
    if ((first & INTERRUPT_DESCRIPTOR_SELECTIVE) === 0) this.#caches.interrupts.dropAll();
    else if (mask > LARGEST_ENTRY_MASK) return false;
    else this.#caches.interrupts.drop(index, mask);
    return true;
  }

  /** All before a wait descriptor is done when it is reached, so a fence changes nothing. */
  #complete(first: number, status: number, address: number): boolean {
    if ((first & WAIT_WRITES_STATUS) !== 0) {
      if (address % 4 !== 0 || !this.#memory.contains(address, 4)) return false;
      Atomics.store(this.#memory.u32, address / 4, status);
    }
    if ((first & WAIT_INTERRUPTS) !== 0) Atomics.or(this.#registers, ICS_REG / 4, 1);
    return true;
  }

  /** A register of the queue, which the driver's thread alone uses. */
  #read(offset: number): number {
    return this.#registers[offset / 4]! >>> 0;
  }

  #set(offset: number, value: number): void {
    this.#registers[offset / 4] = value;
  }
}
