import { formatByteSize } from '../memory/byte-size.ts';
import { PAGE_SIZE } from '../memory/guest-memory.ts';
import { BOUNCE_SEGMENT_SIZE } from './bounce/bounce-pool.ts';

/** What a device can do with addresses, which its driver tells the platform: `struct device` of Linux. */
export interface DeviceAddressing {
  /** Bits of the addresses that it puts on the bus: 12 to 64 (`dma_set_mask`). */
  readonly addressBits: number;
  /**
   * Low bits of a buffer's address that its device address has to keep: 0, or one less than a power of two
   * (`dma_set_min_align_mask`), such as the 0xfff of NVMe.
   */
  readonly minAlignMask: number;
}

/** A device that takes every address. */
export const FULL_ADDRESSING: DeviceAddressing = { addressBits: 64, minAlignMask: 0 };

/** The first device address that the device cannot use; exact for fewer than 54 bits. */
export function addressEnd({ addressBits }: Pick<DeviceAddressing, 'addressBits'>): number {
  return 2 ** addressBits;
}

/** The guest-physical addresses that memory has: its first one for drivers, and the one behind its last. */
export interface MemoryRange {
  readonly first: number;
  readonly end: number;
}

/** Why a platform cannot give a device addresses that it can use, and what to do. */
export interface AddressingProblem {
  /** Which of the two the device would have to do without; a profile's `dmaBits` are the `addressBits`. */
  readonly about: keyof DeviceAddressing;
  readonly message: string;
  readonly hint: string;
}

/** The problem of a platform that passes physical addresses as they are, in `terms` such as `domain: identity`. */
export function physicalProblem(
  addressing: DeviceAddressing,
  { end }: MemoryRange,
  terms: string,
  hint: string,
): AddressingProblem | undefined {
  if (end <= addressEnd(addressing)) return undefined;
  return {
    about: 'addressBits',
    message: `${terms} passes physical addresses, and those of memory reach beyond 2^${addressing.addressBits}`,
    hint,
  };
}

/**
 * The problem of a platform whose pool of `bytes` lies below the mask of a device and has half of what is there, beside
 * rings. A device that takes addresses up to `unpooled` has no pool.
 */
export function poolProblem(
  addressing: Pick<DeviceAddressing, 'addressBits'>,
  { first }: Pick<MemoryRange, 'first'>,
  bytes: number,
  unpooled: number = Infinity,
): AddressingProblem | undefined {
  const room = (addressEnd(addressing) - first) / 2;
  if (unpooled <= addressEnd(addressing) || bytes <= room) return undefined;
  const { addressBits } = addressing;
  const largest = Math.floor(room / BOUNCE_SEGMENT_SIZE) * BOUNCE_SEGMENT_SIZE;
  const bits = Math.ceil(Math.log2(Math.min(unpooled, first + 2 * bytes)));
  const ways = [
    ...(largest > 0 ? [`make platform.pool at most ${formatByteSize(largest)}`] : []),
    `have the device take ${bits} bits (device.dmaBits)`,
    ...(first > PAGE_SIZE ? ['use a machine whose memory begins lower'] : []),
  ];
  const between = `between 0x${first.toString(16)} and 2^${addressBits}`;
  return {
    about: 'addressBits',
    message: `a pool of ${formatByteSize(bytes)} and the rings do not lie ${between}`,
    hint: ways.join(', or '),
  };
}

/** The problem of a platform that maps in pages of `granule` bytes: an address keeps the bits of its place in one. */
export function keptBitsProblem({ minAlignMask }: DeviceAddressing, granule: number): AddressingProblem | undefined {
  if (minAlignMask < granule) return undefined;
  const kept = `0x${(granule - 1).toString(16)}`;
  return {
    about: 'minAlignMask',
    message: `a device address keeps only the low bits ${kept} of a buffer's address, and the device needs more`,
    hint: `set device.minAlignMask to at most ${kept}`,
  };
}

/** Whether the device takes every address, and keeps no low bits. */
export function isFullAddressing({ addressBits, minAlignMask }: DeviceAddressing): boolean {
  return addressBits >= 64 && minAlignMask === 0;
}
