import { unsupported, type SmmuFacility } from './smmu-facility.ts';
import { IDR0, IDR1, IDR5 } from './smmu-registers.ts';

/** Bytes of a page that translation tables can have, and of the tables. */
export const GRANULES = [4096, 16_384, 65_536] as const;
/** One of {@link GRANULES}. */
export type Granule = (typeof GRANULES)[number];

/** Bits of an I/O virtual address that the driver can choose: three and four levels of tables at 4 KiB. */
export const ADDRESS_BITS = [39, 48] as const;
/** One of {@link ADDRESS_BITS}. */
export type AddressBits = (typeof ADDRESS_BITS)[number];

/** Bits of a physical address by IDR5.OAS, which is also the code in a context descriptor (IPS). */
export const OUTPUT_BITS: readonly number[] = [32, 36, 40, 42, 44, 48, 52];

const STAGE_1 = 0x2;
const TABLES_SHIFT = 2;
/** IDR0.TTF: 2 is the format of AArch64 alone, and 3 that of AArch32 too. */
const AARCH64_TABLES = 2;
const ENDIAN_SHIFT = 21;
/** IDR0.TTENDIAN: big-endian tables alone. */
const BIG_ENDIAN_TABLES = 3;
/** IDR1: tables and queues are at addresses that the unit has fixed. */
const PRESET = 0x6000_0000;
/** IDR5 bits of the granules, in the order of {@link GRANULES}. */
const GRANULE_BITS = [0x10, 0x20, 0x40];

/** The capabilities of a unit, from its identification registers. */
export interface SmmuCapabilities {
  readonly granules: readonly Granule[];
  /** Code of the width of physical addresses: the index in {@link OUTPUT_BITS}. */
  readonly outputCode: number;
  /** Bits of a StreamID. */
  readonly streamBits: number;
  /** log2 of the most commands that its queue can have. */
  readonly commandBits: number;
  /** log2 of the most events that its queue can have. */
  readonly eventBits: number;
}

/** Throws {@link DmaError} `ERR_IOMMU_UNSUPPORTED` without a unit, or for one that this driver does not know. */
export function readCapabilities(facility: SmmuFacility): SmmuCapabilities {
  const idr0 = facility.read32(IDR0);
  const idr1 = facility.read32(IDR1);
  const idr5 = facility.read32(IDR5);
  const tables = (idr0 >>> TABLES_SHIFT) & 3;
  if ((idr0 & STAGE_1) === 0 || tables < AARCH64_TABLES)
    throw unsupported(
      `IDR0 is 0x${idr0.toString(16)}: no stage 1 (S1P) with tables of AArch64 (TTF)`,
      'a unit with stage 2 alone is for a hypervisor; look at the machine',
    );
  if (((idr0 >>> ENDIAN_SHIFT) & 3) === BIG_ENDIAN_TABLES || (idr1 & PRESET) !== 0)
    throw unsupported(
      `IDR0 0x${idr0.toString(16)}, IDR1 0x${idr1.toString(16)}: big-endian tables, or queues at fixed addresses`,
      'this driver has little-endian tables, and queues where it allocates them',
    );
  const outputCode = idr5 & 7;
  if (outputCode >= OUTPUT_BITS.length)
    throw unsupported(`IDR5 is 0x${idr5.toString(16)}: an unknown width of addresses`, 'look at the machine');
  return {
    granules: GRANULES.filter((_, i) => (idr5 & GRANULE_BITS[i]!) !== 0),
    outputCode,
    streamBits: idr1 & 0x3f,
    commandBits: (idr1 >>> 21) & 0x1f,
    eventBits: (idr1 >>> 16) & 0x1f,
  };
}

/** The bits of IDR5 for granules and output addresses. */
export function granuleBits(granules: readonly Granule[]): number {
  return GRANULES.reduce((bits, granule, i) => bits | (granules.includes(granule) ? GRANULE_BITS[i]! : 0), 0);
}

/** Levels of tables that lead from an address of so many bits to a page. */
export function levelsOf(addressBits: number, granule: number): number {
  const pageBits = Math.log2(granule);
  return Math.ceil((addressBits - pageBits) / (pageBits - 3));
}
