import { SCSI_MAX_LUN, SCSI_MAX_TARGET } from './layout.ts';

/** Bytes of the field `lun`. Specification 1.4 section 5.6.6.1. */
export const LUN_SIZE = 8;

/** An address of a logical unit as one number, by which units are found: target and unit. Hot. */
export function unitKey(target: number, lun: number): number {
  return target * (SCSI_MAX_LUN + 1) + lun;
}

/** The target of {@link unitKey}. Hot. */
export function targetOf(key: number): number {
  return Math.floor(key / (SCSI_MAX_LUN + 1));
}

/** The logical unit of {@link unitKey}. Hot. */
export function lunOf(key: number): number {
  return key % (SCSI_MAX_LUN + 1);
}

/** A {@link unitKey} in words: `target 0, unit 1`. */
export function nameOfUnit(key: number): string {
  return `target ${targetOf(key)}, unit ${lunOf(key)}`;
}

/** What {@link readLun} returns for an address that is none. */
export const NO_UNIT = -1;
/** What {@link readLun} returns for the REPORT LUNS well-known logical unit. */
export const REPORT_LUNS_UNIT = -2;

/**
 * Writes the address of a logical unit: 1, the target, and the unit as a single level structure with flat addressing.
 * Throws `RangeError` for numbers that no address has. Hot.
 */
export function writeLun(bytes: Uint8Array, at: number, target: number, lun: number): void {
  if (!(target >= 0 && target <= SCSI_MAX_TARGET)) throw new RangeError(`target ${target} is not 0 to 255`);
  if (!(lun >= 0 && lun <= SCSI_MAX_LUN)) throw new RangeError(`logical unit ${lun} is not 0 to ${SCSI_MAX_LUN}`);
  bytes.fill(0, at, at + LUN_SIZE);
  bytes[at] = 1;
  bytes[at + 1] = target;
  bytes[at + 2] = (lun >> 8) | 0x40;
  bytes[at + 3] = lun & 0xff;
}

/**
 * Reads the address of a logical unit. Peripheral addressing (00b, units 0 to 255) is taken as well as flat (01b), as
 * QEMU does. Returns a {@link unitKey}, {@link NO_UNIT} or {@link REPORT_LUNS_UNIT}. Hot.
 */
export function readLun(bytes: Uint8Array, at: number): number {
  for (let i = at + 4; i < at + LUN_SIZE; i++) if (bytes[i] !== 0) return NO_UNIT;
  // Each byte is read once: the other side may change shared memory between two reads.
  const kind = bytes[at]!;
  const target = bytes[at + 1]!;
  const method = bytes[at + 2]!;
  const low = bytes[at + 3]!;
  if (kind === 0xc1) return target === 1 && method === 0 && low === 0 ? REPORT_LUNS_UNIT : NO_UNIT;
  if (kind !== 1 || (method !== 0 && method >> 6 !== 1)) return NO_UNIT;
  return unitKey(target, ((method & 0x3f) << 8) | low);
}
