import type { DmaError } from '@virtio-platform/core';
import { formatByteSize } from '@virtio-platform/core/memory';
import type { IommuConfig } from '../unit/iommu-config.ts';
import type { ReservedRegion } from '../unit/reserved-regions.ts';
import { unsupported } from '../unit/virtio-iommu-facility.ts';

/** A run of I/O virtual pages of the size that the unit maps. */
export interface IovaWindow {
  /** Number of the first page. */
  readonly first: number;
  /** Pages. */
  readonly count: number;
}

/** Addresses are handed out below 2 GiB: the JavaScript engine allocates larger numbers, for each mapping. */
const PREFERRED_END = 2n ** 31n;
/** Where the range of the unit is above that: as far as page numbers have 31 bits. */
export const LAST_END: bigint = 2n ** 43n;
const WIDER_RANGE =
  'use a unit that translates more addresses (platform.unit.inputStart, addressWidth and reserved of the simulated ' +
  'machine)';
/** A buffer can begin in one page and end in the next. */
const LEAST_PAGES = 2n;

/**
 * Chooses the addresses that a domain hands out: `aperture` bytes inside of what the unit translates and outside of its
 * reserved regions and below `behind`, what the device can address, without page 0, as high below 2 GiB as possible.
 * Where no gap is that large, the largest one. Throws {@link DmaError} `ERR_IOMMU_UNSUPPORTED` where there is none.
 */
export function chooseWindow(
  config: IommuConfig,
  reserved: readonly ReservedRegion[],
  aperture: number,
  behind: bigint = LAST_END,
): IovaWindow {
  const granule = BigInt(config.granule);
  const wanted = BigInt(aperture) / granule;
  if (wanted < LEAST_PAGES) throw tooSmall(aperture, config.granule);
  for (const most of [PREFERRED_END, LAST_END]) {
    const end = most < behind ? most : behind;
    const gaps = gapsBelow(config, reserved, end).filter(({ count }) => count >= LEAST_PAGES);
    const fitting = gaps.findLast(({ count }) => count >= wanted);
    const gap = fitting ?? gaps.toSorted((a, b) => Number(b.count - a.count))[0];
    if (gap === undefined) continue;
    const count = gap.count < wanted ? gap.count : wanted;
    return { first: Number(gap.first + gap.count - count), count: Number(count) };
  }
  throw noneLeft(config, reserved.length, behind < LAST_END ? behind : LAST_END);
}

/** What to do where the unit, or a device that takes addresses below `end`, leaves too few. */
export function moreAddresses(end: bigint): string {
  return end < LAST_END ? `have the device take more bits (device.dmaBits), or ${WIDER_RANGE}` : WIDER_RANGE;
}

function tooSmall(aperture: number, granule: number): DmaError {
  const page = formatByteSize(granule);
  return unsupported(
    `an aperture of ${formatByteSize(aperture)} has no two pages of ${page}, the smallest of this unit`,
    `raise platform.aperture: each mapping takes at least one page of ${page}`,
  );
}

/** The error where no gap below `end` is large enough. */
function noneLeft({ inputStart, inputEnd }: IommuConfig, regions: number, end: bigint): DmaError {
  const isCut = end <= inputEnd;
  const last = isCut ? end - 1n : inputEnd;
  const who = end < LAST_END ? 'the last that the device takes' : 'the last that this driver maps';
  return unsupported(
    `no I/O virtual addresses are left from 0x${inputStart.toString(16)} to 0x${last.toString(16)}` +
      `${isCut ? ` (${who})` : ''} outside of ${regions} reserved regions`,
    moreAddresses(isCut ? end : LAST_END),
  );
}

interface Gap {
  readonly first: bigint;
  readonly count: bigint;
}

/** The free runs of whole pages below `end`, from the lowest up. */
function gapsBelow(
  { granule, inputStart, inputEnd }: IommuConfig,
  reserved: readonly ReservedRegion[],
  end: bigint,
): Gap[] {
  const page = BigInt(granule);
  const limit = inputEnd + 1n < end ? inputEnd + 1n : end;
  const gaps: Gap[] = [];
  let from = inputStart > 0n ? inputStart : 1n;
  const addGap = (to: bigint): void => {
    const first = (from + page - 1n) / page;
    const count = (to < limit ? to : limit) / page - first;
    if (count > 0n) gaps.push({ first, count });
  };
  for (const region of reserved.toSorted((a, b) => (a.start < b.start ? -1 : 1))) {
    addGap(region.start);
    if (region.end + 1n > from) from = region.end + 1n;
  }
  addGap(limit);
  return gaps;
}
