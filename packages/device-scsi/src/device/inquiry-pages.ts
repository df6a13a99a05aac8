import * as scsi from '../scsi-commands.ts';
import { put32, put64 } from '../big-endian.ts';
import type { DiskUnit } from './disk-unit.ts';

/** Most blocks that one command may read, write, unmap or fill, whatever the size of the disk. */
export const MOST_BLOCKS = 0x1_0000;
/** Descriptors of an UNMAP at most. */
export const MOST_UNMAP_RUNS = 256;

/** Peripheral qualifier 011b and type 1Fh: the target has no such unit. SPC-4 section 6.6.2. */
const ABSENT = 0x7f;

const VENDOR = 'VIRTIO';
const PRODUCT = 'EMBEDDED DISK';
const REVISION = '1.4';
const PAGES = [
  scsi.VPD_SUPPORTED,
  scsi.VPD_SERIAL,
  scsi.VPD_IDENTIFICATION,
  scsi.VPD_BLOCK_LIMITS,
  scsi.VPD_CHARACTERISTICS,
  scsi.VPD_PROVISIONING,
];

/** Standard INQUIRY data of a disk, or of a unit that does not exist. SPC-4 section 6.6.2. */
export function standardInquiry(isPresent: boolean): Uint8Array {
  const data = new Uint8Array(36);
  data[0] = isPresent ? 0 : ABSENT;
  data[2] = 6; // SPC-4
  data[3] = 0x12; // hierarchical addresses, response format 2
  data[4] = data.length - 5;
  data[7] = 2; // command queuing
  data.set(ascii(VENDOR, 8), 8);
  data.set(ascii(PRODUCT, 16), 16);
  data.set(ascii(REVISION, 4), 32);
  return data;
}

/** A page of vital product data, or `undefined` where the disk has none of this number. SPC-4 section 7.8. */
export function vitalPage(unit: DiskUnit, page: number): Uint8Array | undefined {
  switch (page) {
    case scsi.VPD_SUPPORTED:
      return withHeader(page, Uint8Array.from(PAGES));
    case scsi.VPD_SERIAL:
      return withHeader(page, ascii(unit.serial, unit.serial.length));
    case scsi.VPD_IDENTIFICATION:
      return withHeader(page, identification(unit));
    case scsi.VPD_BLOCK_LIMITS:
      return withHeader(page, blockLimits());
    case scsi.VPD_CHARACTERISTICS: {
      const data = new Uint8Array(60);
      data[1] = 1; // not a rotating medium
      return withHeader(page, data);
    }
    case scsi.VPD_PROVISIONING:
      // UNMAP and both WRITE SAME unmap, unmapped blocks read as zeros, thin provisioning.
      return withHeader(page, Uint8Array.of(0, 0xe4, 2, 0));
    default:
      return undefined;
  }
}

/** A designator of vendor and serial number, in ASCII. SPC-4 section 7.8.5. */
function identification({ serial, target, lun }: DiskUnit): Uint8Array {
  const name = serial === '' ? `disk ${target}.${lun}` : serial;
  const text = ascii(VENDOR, 8);
  const data = new Uint8Array(4 + text.length + name.length);
  data.set([2, 1, 0, text.length + name.length]);
  data.set(text, 4);
  data.set(ascii(name, name.length), 4 + text.length);
  return data;
}

/** SBC-3 section 6.6.3. */
function blockLimits(): Uint8Array {
  const data = new Uint8Array(60);
  data[0] = 1; // WRITE SAME of 0 blocks is refused
  put32(data, 4, MOST_BLOCKS);
  put32(data, 16, MOST_BLOCKS);
  put32(data, 20, MOST_UNMAP_RUNS);
  put32(data, 24, 1);
  put64(data, 32, MOST_BLOCKS);
  return data;
}

function withHeader(page: number, body: Uint8Array): Uint8Array {
  const data = new Uint8Array(4 + body.length);
  data[1] = page;
  data[2] = body.length >> 8;
  data[3] = body.length & 0xff;
  data.set(body, 4);
  return data;
}

/** Text in a field of `width` bytes, with spaces behind it. */
function ascii(text: string, width: number): Uint8Array {
  return Uint8Array.from(text.padEnd(width), (character) => character.charCodeAt(0));
}
