import { unsupported, type VtdFacility } from './vtd-facility.ts';
import { CAP_REG, ECAP_REG, FRCD_SIZE, IOTLB_OFFSET, IVA_OFFSET, VER_REG } from './vtd-registers.ts';
/** Bits of an I/O virtual address that page tables can translate: with three, four and five levels. */
export const ADDRESS_WIDTHS = [39, 48, 57] as const;
/** One of {@link ADDRESS_WIDTHS}. */
export type AddressWidth = (typeof ADDRESS_WIDTHS)[number];

/** Unit in bytes of the register offsets in the capabilities. */
const PLACE_UNIT = 16;
/** High word of ECAP: scalable mode (SMTS), and second-level tables in it (SLTS). */
export const SCALABLE = 0x4800;

/** The capabilities of a remapping unit, from CAP and ECAP. */
export interface VtdCapabilities {
  /** Supported widths of page tables (SAGAW). */
  readonly widths: readonly AddressWidth[];
  /** Bits of the largest address that the unit translates (MGAW). */
  readonly largestWidth: number;
  /** Whether the driver must flush a write buffer after it wrote tables (RWBF). */
  readonly needsWriteBufferFlush: boolean;
  /** Whether the unit caches entries that are not present, so that `map` needs an invalidation too (CM). */
  readonly cachingMode: boolean;
  /** Whether a second-level entry can translate 2 MiB (SLLPS). */
  readonly largePages: boolean;
  /** log2 of the most pages of one page-selective invalidation (PSI, MAMV); -1 without such a command. */
  readonly largestMask: number;
  readonly drainsReads: boolean;
  readonly drainsWrites: boolean;
  readonly passThrough: boolean;
  /** Whether the unit takes invalidations from a queue in memory (QI). */
  readonly queuedInvalidation: boolean;
  /** Whether it remaps interrupts (IR). */
  readonly interruptRemapping: boolean;
  /** Whether it has scalable mode with second-level tables (SMTS, SLTS). */
  readonly scalableMode: boolean;
  /** Offset of the invalidation address register (IVA), from ECAP.IRO; the next ones are those of IOTLB and FRCD. */
  readonly invalidateAddress: number;
  readonly iotlb: number;
  readonly faultRecords: number;
  readonly faultRecordCount: number;
}

/**
 * Reads the capabilities. Throws {@link DmaError} `ERR_IOMMU_UNSUPPORTED` for an unknown version, or without a unit.
 */
export function readCapabilities(facility: VtdFacility): VtdCapabilities {
  const version = facility.read32(VER_REG);
  if (version >>> 8 !== 0 || version >>> 4 === 0)
    throw unsupported(
      `version register 0x${version.toString(16)} is not that of a remapping unit`,
      'look at the machine',
    );
  const words = new Uint32Array(2);
  facility.read64(CAP_REG, words);
  const [low, high] = [words[0]!, words[1]!];
  facility.read64(ECAP_REG, words);
  const [extended, further] = [words[0]!, words[1]!];
  const supported = (low >>> 8) & 0x1f;
  const registers = ((extended >>> 8) & 0x3ff) * PLACE_UNIT;
  return {
    // Bit 1 is three levels, bit 2 is four, bit 3 is five.
    widths: ADDRESS_WIDTHS.filter((width) => (supported & widthBit(width)) !== 0),
    largestWidth: ((low >>> 16) & 0x3f) + 1,
    needsWriteBufferFlush: (low & 0x10) !== 0,
    cachingMode: (low & 0x80) !== 0,
    largePages: (high & 0x4) !== 0,
    largestMask: (high & 0x80) === 0 ? -1 : (high >>> 16) & 0x3f,
    drainsReads: (high & 0x80_0000) !== 0,
    drainsWrites: (high & 0x40_0000) !== 0,
    passThrough: (extended & 0x40) !== 0,
    queuedInvalidation: (extended & 0x2) !== 0,
    interruptRemapping: (extended & 0x8) !== 0,
    scalableMode: (further & SCALABLE) === SCALABLE,
    invalidateAddress: registers + IVA_OFFSET,
    iotlb: registers + IOTLB_OFFSET,
    faultRecords: (((high & 0x3) << 8) | (low >>> 24)) * FRCD_SIZE,
    faultRecordCount: ((high >>> 8) & 0xff) + 1,
  };
}

/** Levels of page tables for a width: each translates 9 bits, and a page 12. */
export function levelsOf(width: AddressWidth): number {
  return (width - 12) / 9;
}

/** The address width as a context entry names it (AW). */
export function widthCode(width: AddressWidth): number {
  return levelsOf(width) - 2;
}

/** The width in SAGAW. */
export function widthBit(width: AddressWidth): number {
  return 1 << widthCode(width);
}
