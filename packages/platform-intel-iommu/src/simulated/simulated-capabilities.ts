import type { SimulatedUnitOptions } from '../intel-iommu-options.ts';
import { ADDRESS_WIDTHS, SCALABLE, widthBit } from '../unit/vtd-capabilities.ts';
import { FRCD_SIZE } from '../unit/vtd-registers.ts';

/** Version 1.0, as QEMU. */
export const VERSION = 0x10;
/** Offset of the invalidation registers, as in QEMU. */
export const INVALIDATE_ADDRESS = 0xf0;
/** Offset of the fault recording registers, as in QEMU. */
export const FAULT_RECORDS = 0x220;

const PLACE_UNIT = 16;
/** (log2 of the number of domains - 4) / 2: 65536 domains. */
const DOMAINS = 6;
const CACHING_MODE = 0x80;
/** In the high word: pages of 2 MiB, page-selective invalidation, and draining of writes and reads. */
const LARGE_PAGES = 0x4;
const PAGE_SELECTIVE = 0x80;
const DRAIN = 0xc0_0000;
/** log2 of the most pages of one invalidation. */
export const LARGEST_MASK = 18;
const PASS_THROUGH = 0x40;
const QUEUE = 0x2;
/** log2 of the most interrupt entries of one invalidation: half of the largest table, as QEMU. */
export const LARGEST_ENTRY_MASK = 15;
/** Interrupt remapping (IR, MHMV), without destinations of 32 bits (EIM). */
const INTERRUPTS: number = 0x8 | (LARGEST_ENTRY_MASK << 20);

/** CAP as low and high word: that of QEMU 7.2 without pages of 1 GiB. */
export function simulatedCap({ addressWidth, cachingMode, faultRecords }: SimulatedUnitOptions): [number, number] {
  const widths = ADDRESS_WIDTHS.filter((width) => width <= addressWidth).reduce(
    (bits, width) => bits | widthBit(width),
    0,
  );
  const faultOffset = FAULT_RECORDS / FRCD_SIZE;
  const low =
    DOMAINS | (cachingMode ? CACHING_MODE : 0) | (widths << 8) | ((addressWidth - 1) << 16) | (faultOffset << 24);
  return [low >>> 0, (LARGE_PAGES | PAGE_SELECTIVE | ((faultRecords - 1) << 8) | (LARGEST_MASK << 16) | DRAIN) >>> 0];
}

/** ECAP as low and high word. */
export function simulatedEcap(options: SimulatedUnitOptions): [number, number] {
  const { passThrough, queuedInvalidation, interruptRemapping, scalableMode } = options;
  const interrupts = queuedInvalidation && interruptRemapping ? INTERRUPTS : 0;
  const low = (passThrough ? PASS_THROUGH : 0) | (queuedInvalidation ? QUEUE : 0) | interrupts;
  return [((INVALIDATE_ADDRESS / PLACE_UNIT) << 8) | low, scalableMode ? SCALABLE : 0];
}
