import { unsupported, type AmdIommuFacility } from './amd-facility.ts';
import {
  CACHES_ABSENCE,
  CAPABILITY_ID,
  CAPABILITY_TYPE,
  FEATURES_REG,
  INVALIDATES_ALL,
  LEVELS_MASK,
  LEVELS_SHIFT,
} from './amd-registers.ts';

/** Offset of the first capability in configuration space, which begins with its id and the offset of the next one. */
const FIRST_CAPABILITY = 0x34;
/** A list that is longer leads in a circle. */
const MOST_CAPABILITIES = 48;
const LEAST_LEVELS = 4;

/** What a unit can do. */
export interface AmdCapabilities {
  /** Levels of page tables that it walks at most (HATS): 4, 5 or 6. */
  readonly levels: number;
  /** Whether one command drops everything (IASup). */
  readonly invalidatesAll: boolean;
  /** Whether it caches that nothing is mapped, so that `map` is followed by an invalidation too (NpCache). */
  readonly cachesAbsence: boolean;
}

/** Reads the capabilities. Throws {@link DmaError} `ERR_IOMMU_UNSUPPORTED` where there is no such unit. */
export function readCapabilities(facility: AmdIommuFacility): AmdCapabilities {
  const header = findCapability(facility);
  const words = new Uint32Array(2);
  facility.read64(FEATURES_REG, words);
  const features = words[0]!;
  const size = (features >>> LEVELS_SHIFT) & LEVELS_MASK;
  if (size === LEVELS_MASK) throw unsupported('the size of its addresses (HATS) is a reserved one', 'use another unit');
  return {
    levels: LEAST_LEVELS + size,
    invalidatesAll: (features & INVALIDATES_ALL) !== 0,
    cachesAbsence: (header & CACHES_ABSENCE) !== 0,
  };
}

/** The header of the capability of an IOMMU. */
function findCapability(facility: AmdIommuFacility): number {
  let at = facility.readConfig(FIRST_CAPABILITY) & 0xfc;
  for (let i = 0; at !== 0 && i < MOST_CAPABILITIES; i++) {
    const header = facility.readConfig(at);
    if ((header & 0xff) === CAPABILITY_ID && ((header >>> 16) & 7) === CAPABILITY_TYPE) return header;
    at = (header >>> 8) & 0xfc;
  }
  throw unsupported('the PCI function of the unit has no capability of an IOMMU', 'look at the machine');
}
