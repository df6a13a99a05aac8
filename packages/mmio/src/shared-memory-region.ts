import { DeviceError } from '@virtio-platform/core';
import { MMIO, type MmioRegisters } from './mmio-registers.ts';

/** Memory of the device that the driver may access (specification 1.4 section 2.10). */
export interface SharedMemoryRegion {
  /** Physical address. */
  readonly address: bigint;
  /** Bytes. */
  readonly length: bigint;
}

/** The address and the length that a region has which does not exist: -1. */
const NONE = 0xffff_ffff_ffff_ffffn;

/**
 * Reads where a shared memory region is; `undefined` where the device has none with this number. A driver that expects
 * no shared memory may not use these registers (section 4.2.3.1.1). Throws {@link DeviceError} `ERR_DEVICE_CONFIG`
 * where only one of address and length is -1, and for a region that ends behind the last address.
 */
export function readSharedMemoryRegion(registers: MmioRegisters, id: number): SharedMemoryRegion | undefined {
  if (!Number.isInteger(id) || id < 0 || id > 0xff) throw new RangeError(`a shared memory region ${id}`);
  const word = (offset: number): bigint => BigInt(registers.read(offset, 4));
  registers.write(MMIO.SHMSel, 4, id);
  const length = word(MMIO.SHMLenLow) | (word(MMIO.SHMLenHigh) << 32n);
  const address = word(MMIO.SHMBaseLow) | (word(MMIO.SHMBaseHigh) << 32n);
  if (length === NONE && address === NONE) return undefined;
  if (length === NONE || address === NONE || address + length > NONE + 1n) {
    const what = `${length} bytes at 0x${address.toString(16)}`;
    throw new DeviceError('ERR_DEVICE_CONFIG', `${registers.name} has shared memory region ${id} of ${what}`);
  }
  return { address, length };
}
