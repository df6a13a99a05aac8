import { put32, put64 } from './big-endian.ts';

/** Operation codes. SPC-4 and SBC-3. */
export const TEST_UNIT_READY = 0x00;
/** SPC-4 section 6.37. */
export const REQUEST_SENSE = 0x03;
/** SBC-3 section 5.10. */
export const READ_6 = 0x08;
/** SBC-3 section 5.34. */
export const WRITE_6 = 0x0a;
/** SPC-4 section 6.6. */
export const INQUIRY = 0x12;
/** SPC-4 section 6.13. */
export const MODE_SENSE_6 = 0x1a;
/** SBC-3 section 5.25. */
export const START_STOP_UNIT = 0x1b;
/** SBC-3 section 5.15. */
export const READ_CAPACITY_10 = 0x25;
/** SBC-3 section 5.11. */
export const READ_10 = 0x28;
/** SBC-3 section 5.35. */
export const WRITE_10 = 0x2a;
/** SBC-3 section 5.29. */
export const VERIFY_10 = 0x2f;
/** SBC-3 section 5.26. */
export const SYNCHRONIZE_CACHE_10 = 0x35;
/** SBC-3 section 5.45. */
export const WRITE_SAME_10 = 0x41;
/** SBC-3 section 5.28. */
export const UNMAP = 0x42;
/** SPC-4 section 6.14. */
export const MODE_SENSE_10 = 0x5a;
/** SBC-3 section 5.13. */
export const READ_16 = 0x88;
/** SBC-3 section 5.37. */
export const WRITE_16 = 0x8a;
/** SBC-3 section 5.31. */
export const VERIFY_16 = 0x8f;
/** SBC-3 section 5.27. */
export const SYNCHRONIZE_CACHE_16 = 0x91;
/** SBC-3 section 5.46. */
export const WRITE_SAME_16 = 0x93;
/** With {@link READ_CAPACITY_16_ACTION}. SBC-3 section 5.16. */
export const SERVICE_ACTION_IN_16 = 0x9e;
/** The service action that reads the capacity. SBC-3 section 5.16. */
export const READ_CAPACITY_16_ACTION = 0x10;
/** SPC-4 section 6.33. */
export const REPORT_LUNS = 0xa0;
/** SBC-3 section 5.12. */
export const READ_12 = 0xa8;
/** SBC-3 section 5.36. */
export const WRITE_12 = 0xaa;

/** The pages of INQUIRY that disks have. SPC-4 section 7.8 and SBC-3 section 6.6. */
export const VPD_SUPPORTED = 0x00;
/** Unit serial number. SPC-4 section 7.8.15. */
export const VPD_SERIAL = 0x80;
/** Device identification. SPC-4 section 7.8.5. */
export const VPD_IDENTIFICATION = 0x83;
/** Block limits. SBC-3 section 6.6.3. */
export const VPD_BLOCK_LIMITS = 0xb0;
/** Block device characteristics. SBC-3 section 6.6.2. */
export const VPD_CHARACTERISTICS = 0xb1;
/** Logical block provisioning. SBC-3 section 6.6.4. */
export const VPD_PROVISIONING = 0xb2;

/** The flag of {@link writeSame16Cdb} and {@link writeSame10Cdb}: the blocks may be unmapped. SBC-3 section 5.46. */
export const WRITE_SAME_UNMAP = 0x08;

/** Command descriptor blocks, each in an array of its own. */
export function testUnitReadyCdb(): Uint8Array {
  return new Uint8Array(6);
}

/** REQUEST SENSE in the fixed format. */
export function requestSenseCdb(allocation: number): Uint8Array {
  return Uint8Array.of(REQUEST_SENSE, 0, 0, 0, allocation, 0);
}

/** INQUIRY: standard data, or a page of vital product data. */
export function inquiryCdb(allocation: number, page?: number): Uint8Array {
  const [high, low] = [allocation >> 8, allocation & 0xff];
  return Uint8Array.of(INQUIRY, page === undefined ? 0 : 1, page ?? 0, high, low, 0);
}

/** MODE SENSE(6) of a page, or of all with 0x3f. */
export function modeSense6Cdb(page: number, allocation: number): Uint8Array {
  return Uint8Array.of(MODE_SENSE_6, 0, page, 0, allocation, 0);
}

/** START STOP UNIT. */
export function startStopUnitCdb(isStart: boolean): Uint8Array {
  return Uint8Array.of(START_STOP_UNIT, 0, 0, 0, isStart ? 1 : 0, 0);
}

/** READ CAPACITY(10): 8 bytes. */
export function readCapacity10Cdb(): Uint8Array {
  return withOpcode(10, READ_CAPACITY_10);
}

/** READ CAPACITY(16): up to 32 bytes. */
export function readCapacity16Cdb(allocation: number = 32): Uint8Array {
  const cdb = withOpcode(16, SERVICE_ACTION_IN_16);
  cdb[1] = READ_CAPACITY_16_ACTION;
  put32(cdb, 10, allocation);
  return cdb;
}

/** REPORT LUNS: 8 bytes and 8 for each unit. */
export function reportLunsCdb(allocation: number): Uint8Array {
  const cdb = withOpcode(12, REPORT_LUNS);
  put32(cdb, 6, allocation);
  return cdb;
}

/** SYNCHRONIZE CACHE(10) of the whole disk. */
export function synchronizeCacheCdb(): Uint8Array {
  return withOpcode(10, SYNCHRONIZE_CACHE_10);
}

/** UNMAP with a parameter list of {@link unmapList}. */
export function unmapCdb(listBytes: number): Uint8Array {
  const cdb = withOpcode(10, UNMAP);
  cdb[7] = listBytes >> 8;
  cdb[8] = listBytes & 0xff;
  return cdb;
}

/** The parameter list of UNMAP for runs of blocks. SBC-3 section 5.28.2. */
export function unmapList(runs: readonly (readonly [lba: number, blocks: number])[]): Uint8Array {
  const list = new Uint8Array(8 + 16 * runs.length);
  const view = new DataView(list.buffer);
  view.setUint16(0, list.length - 2);
  view.setUint16(2, list.length - 8);
  for (const [index, [lba, blocks]] of runs.entries()) {
    put64(list, 8 + 16 * index, lba);
    view.setUint32(16 + 16 * index, blocks);
  }
  return list;
}

/** WRITE SAME(16): `flags` as {@link WRITE_SAME_UNMAP}. */
export function writeSame16Cdb(lba: number, blocks: number, flags: number = 0): Uint8Array {
  const cdb = blockCdb(16, WRITE_SAME_16, lba, blocks);
  cdb[1] = flags;
  return cdb;
}

/** WRITE SAME(10): `flags` as {@link WRITE_SAME_UNMAP}. */
export function writeSame10Cdb(lba: number, blocks: number, flags: number = 0): Uint8Array {
  const cdb = blockCdb(10, WRITE_SAME_10, lba, blocks);
  cdb[1] = flags;
  return cdb;
}

/** READ(10): up to 65535 blocks of the first 2^32. */
export function read10Cdb(lba: number, blocks: number): Uint8Array {
  return blockCdb(10, READ_10, lba, blocks);
}

/** WRITE(10), as {@link read10Cdb}. */
export function write10Cdb(lba: number, blocks: number): Uint8Array {
  return blockCdb(10, WRITE_10, lba, blocks);
}

/** READ(16). */
export function read16Cdb(lba: number, blocks: number): Uint8Array {
  return blockCdb(16, READ_16, lba, blocks);
}

/** WRITE(16). */
export function write16Cdb(lba: number, blocks: number): Uint8Array {
  return blockCdb(16, WRITE_16, lba, blocks);
}

/** A CDB of 10 or 16 bytes for `blocks` blocks from `lba` on. */
export function blockCdb(size: 10 | 16, opcode: number, lba: number, blocks: number): Uint8Array {
  const cdb = new Uint8Array(size);
  fillBlockCdb(cdb, size, opcode, lba, blocks);
  return cdb;
}

/** Fills the first `size` bytes of a CDB for `blocks` blocks from `lba` on. Hot. */
export function fillBlockCdb(cdb: Uint8Array, size: 10 | 16, opcode: number, lba: number, blocks: number): void {
  cdb.fill(0, 0, size);
  cdb[0] = opcode;
  if (size === 16) {
    put64(cdb, 2, lba);
    put32(cdb, 10, blocks);
    return;
  }
  if (lba > 0xffff_ffff || blocks > 0xffff) throw new RangeError(`a CDB of 10 bytes has no ${blocks} blocks at ${lba}`);
  put32(cdb, 2, lba);
  cdb[7] = blocks >> 8;
  cdb[8] = blocks & 0xff;
}

function withOpcode(size: number, opcode: number): Uint8Array {
  const cdb = new Uint8Array(size);
  cdb[0] = opcode;
  return cdb;
}
