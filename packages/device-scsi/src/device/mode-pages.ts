import { put32 } from '../big-endian.ts';
import type { DiskUnit } from './disk-unit.ts';

/** All pages. SPC-4 section 6.13. */
const ALL_PAGES = 0x3f;
/** SBC-3 section 6.4.4. */
const CACHING = 0x08;
/** SPC-4 section 7.5.8. */
const CONTROL = 0x0a;

/** Of a MODE SENSE: the page, which values of it, and the form of the answer. */
export interface ModeQuery {
  readonly page: number;
  /** 0 current, 1 changeable, 2 default. */
  readonly values: number;
  /** Whether the block descriptor is left out (DBD). */
  readonly isBrief: boolean;
  /** Whether the header has 8 bytes, as that of MODE SENSE(10). */
  readonly isLong: boolean;
}

/** The answer to MODE SENSE, or `undefined` where the disk has no such page. SPC-4 section 7.5. */
export function modeParameters(unit: DiskUnit, { page, values, isBrief, isLong }: ModeQuery): Uint8Array | undefined {
  const pages = [caching(values), control()].filter((data) => page === ALL_PAGES || data[0] === page);
  if (pages.length === 0) return undefined;
  const descriptor = isBrief ? new Uint8Array(0) : blockDescriptor(unit);
  const header = new Uint8Array(isLong ? 8 : 4);
  const data = Uint8Array.from([header, descriptor, ...pages].flatMap((part) => [...part]));
  const protection = (unit.isReadOnly ? 0x80 : 0) | 0x10; // DPO and FUA are taken
  if (isLong) {
    data[1] = data.length - 2;
    data[3] = protection;
    data[7] = descriptor.length;
  } else {
    data[0] = data.length - 1;
    data[2] = protection;
    data[3] = descriptor.length;
  }
  return data;
}

/** Write-back cache on; nothing of it can be changed. */
function caching(values: number): Uint8Array {
  const data = new Uint8Array(20);
  data[0] = CACHING;
  data[1] = data.length - 2;
  if (values !== 1) data[2] = 0x04;
  return data;
}

/** Unrestricted reordering is off, one task set. */
function control(): Uint8Array {
  const data = new Uint8Array(12);
  data[0] = CONTROL;
  data[1] = data.length - 2;
  return data;
}

/** SBC-3 section 6.4.2. */
function blockDescriptor({ blocks, blockSize }: DiskUnit): Uint8Array {
  const data = new Uint8Array(8);
  put32(data, 0, Math.min(blocks, 0xff_ffff));
  put32(data, 4, blockSize);
  return data;
}
