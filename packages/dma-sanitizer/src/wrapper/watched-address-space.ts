import type { DeviceAddressSpace, DeviceAccess, FaultLog } from '@virtio-platform/core/address-space';
import { rangeAt, type AddressRange } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { ByteFlag } from '../byte-shadow.ts';
import type { SanitizerState } from '../sanitizer-state.ts';
import type { TrackedMapping } from '../tracked-mapping.ts';

/** Bytes of an interrupt: a device writes one word, at a multiple of that. */
const INTERRUPT_BYTES = 4;

/** A device's address space that checks every access. It refuses nothing: the platform does. */
export class WatchedAddressSpace implements DeviceAddressSpace {
  readonly memory: GuestMemory;
  readonly faults: FaultLog;
  readonly #inner: DeviceAddressSpace;
  readonly #check: DeviceAccessCheck;

  constructor(inner: DeviceAddressSpace, check: DeviceAccessCheck) {
    this.memory = inner.memory;
    this.faults = inner.faults;
    this.#inner = inner;
    this.#check = check;
  }

  get generation(): number {
    return this.#inner.generation;
  }

  read(low: number, high: number, target: Uint8Array, at: number, length: number): boolean {
    this.#check.access(low, high, length, 'read');
    return this.#inner.read(low, high, target, at, length);
  }

  write(low: number, high: number, source: Uint8Array, at: number, length: number): boolean {
    // What an interrupt does is between the device and the unit: no driver maps anything for it.
    if (!this.#check.isInterrupt(low, high, length)) this.#check.access(low, high, length, 'write');
    return this.#inner.write(low, high, source, at, length);
  }

  borrow(low: number, high: number, length: number, access: DeviceAccess): number {
    this.#check.access(low, high, length, access);
    return this.#inner.borrow(low, high, length, access);
  }

  freeze(isFrozen: boolean): void {
    this.#inner.freeze?.(isFrozen);
  }

  reset(): void {
    this.#inner.reset?.();
  }
}

/**
 * The largest page that is common in an IOMMU, in bytes, and more than a bounce slot: an IOMMU lets an access this near
 * to a buffer through.
 */
const NEIGHBOURHOOD = 64 * 1024;

/** Compares each access of a device with what is mapped, byte by byte, whatever the platform lets through. */
export class DeviceAccessCheck {
  readonly #state: SanitizerState;
  readonly #device: string;
  readonly #writesMemory: boolean;

  /** `writesMemory` as `DmaSanitizer.addressSpace` has it. */
  constructor(state: SanitizerState, device: string, writesMemory: boolean) {
    this.#state = state;
    this.#device = device;
    this.#writesMemory = writesMemory;
  }

  /** Whether a write of `length` bytes is an interrupt, and no access to memory. */
  isInterrupt(low: number, high: number, length: number): boolean {
    return length === INTERRUPT_BYTES && low % INTERRUPT_BYTES === 0 && this.#interruptsAt(low, high) !== undefined;
  }

  /** Checks an access of `length` bytes at a device address. */
  access(low: number, high: number, length: number, access: DeviceAccess): void {
    if (length === 0) return;
    let found: TrackedMapping | undefined;
    for (const mapping of this.#state.mappings.live) {
      const offset = mapping.offsetOf(low, high);
      if (offset < 0 || offset >= mapping.length) continue;
      if (this.#permits(mapping, offset, length, access)) return this.#note(mapping, offset, length, access);
      found ??= mapping;
    }
    if (found === undefined && this.#writesMemory) return;
    if (found === undefined) this.#reportUnmapped(low, high, length, access);
    else this.#reportMisuse(found, low, high, length, access);
  }

  #interruptsAt(low: number, high: number): AddressRange | undefined {
    return rangeAt(this.#state.interruptsOf(this.#device), addressOf(low, high));
  }

  #permits(mapping: TrackedMapping, offset: number, length: number, access: DeviceAccess): boolean {
    const may = access === 'read' ? mapping.deviceReads : mapping.deviceWrites;
    return may && offset + length <= mapping.length && mapping.owner.device === this.#device;
  }

  #note(mapping: TrackedMapping, offset: number, length: number, access: DeviceAccess): void {
    if (access === 'read' || mapping.kind === 'coherent') return;
    mapping.written = Math.max(mapping.written, offset + length);
    this.#state.shadow.set(mapping.address + offset, length, ByteFlag.Written);
  }

  #reportMisuse(mapping: TrackedMapping, low: number, high: number, length: number, access: DeviceAccess): void {
    const state = this.#state;
    const offset = mapping.offsetOf(low, high);
    const details = { ...this.#details(low, high, length), mapping, address: mapping.address + offset };
    const owner = mapping.owner.device;
    if (owner !== this.#device) {
      const what = `${this.#device} ${past(access)} ${length} bytes that are mapped for ${owner}`;
      return state.report('DMA-FOREIGN-MAPPING', what, details);
    }
    if (offset + length > mapping.length) {
      const what =
        `the device ${past(access)} ${length} bytes from byte ${offset} of a mapping of ${mapping.length}: past ` +
        `its end`;
      return state.report('DMA-DEVICE-BOUNDS', what, details);
    }
    const only = access === 'read' ? 'write' : 'read';
    const what = `the device ${past(access)} ${length} bytes of a buffer that is mapped for it to ${only} only`;
    state.report('DMA-DEVICE-DIRECTION', what, details);
  }

  #reportUnmapped(low: number, high: number, length: number, access: DeviceAccess): void {
    const state = this.#state;
    const details = this.#details(low, high, length);
    const action = `the device ${past(access)} ${length} bytes`;
    const before = state.mappings.releasedAt(low, high);
    if (before !== undefined) {
      const what = `${action} of a buffer that was unmapped before`;
      return state.report('DMA-DEVICE-UNMAPPED', what, { ...details, mapping: before });
    }
    const interrupts = this.#interruptsAt(low, high);
    // No page that is let through with a mapping reaches into interrupts.
    const beside = interrupts ? undefined : state.mappings.besideDeviceAddress(low, high, NEIGHBOURHOOD);
    const physical = high * 0x1_0000_0000 + low;
    if (beside !== undefined) {
      const offset = beside.offsetOf(low, high);
      const where = offset < 0 ? `${-offset} bytes before` : `${offset - beside.length} bytes behind`;
      const what = `${action} ${where} a mapping, in a page that it was given with it`;
      return state.report('DMA-DEVICE-BOUNDS', what, { ...details, mapping: beside, address: beside.address + offset });
    }
    if (state.memory.allocationAt(physical) !== undefined) {
      const what = `${action} at 0x${physical.toString(16)}, a physical address that no map gave out`;
      return state.report('DMA-RAW-ADDRESS', what, details);
    }
    const where = interrupts ? `of the ${interrupts.what}, where nothing can be` : 'where nothing is';
    state.report('DMA-DEVICE-UNMAPPED', `${action} at an address ${where} mapped`, details);
  }

  #details(low: number, high: number, length: number): { device: string; length: number; deviceAddress: bigint } {
    return { device: this.#device, length, deviceAddress: addressOf(low, high) };
  }
}

function past(access: DeviceAccess): string {
  return access === 'read' ? 'read' : 'wrote';
}

function addressOf(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low);
}
