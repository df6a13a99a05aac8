import { get32, get64 } from '../big-endian.ts';
import { VIRTIO_SCSI_T_AN_QUERY, VIRTIO_SCSI_T_TMF } from '../layout.ts';
import * as scsi from '../scsi-commands.ts';

/** Commands for blocks, whose first one the name has. */
const PLACED: Readonly<Record<number, string>> = {
  [scsi.READ_6]: 'read',
  [scsi.READ_10]: 'read',
  [scsi.READ_12]: 'read',
  [scsi.READ_16]: 'read',
  [scsi.WRITE_6]: 'write',
  [scsi.WRITE_10]: 'write',
  [scsi.WRITE_12]: 'write',
  [scsi.WRITE_16]: 'write',
  [scsi.WRITE_SAME_10]: 'WRITE SAME',
  [scsi.WRITE_SAME_16]: 'WRITE SAME',
  [scsi.VERIFY_10]: 'VERIFY',
  [scsi.VERIFY_16]: 'VERIFY',
};
const OTHERS: Readonly<Record<number, string>> = {
  [scsi.TEST_UNIT_READY]: 'TEST UNIT READY',
  [scsi.REQUEST_SENSE]: 'REQUEST SENSE',
  [scsi.INQUIRY]: 'INQUIRY',
  [scsi.MODE_SENSE_6]: 'MODE SENSE',
  [scsi.MODE_SENSE_10]: 'MODE SENSE',
  [scsi.START_STOP_UNIT]: 'START STOP UNIT',
  [scsi.READ_CAPACITY_10]: 'READ CAPACITY',
  [scsi.SERVICE_ACTION_IN_16]: 'READ CAPACITY',
  [scsi.SYNCHRONIZE_CACHE_10]: 'SYNCHRONIZE CACHE',
  [scsi.SYNCHRONIZE_CACHE_16]: 'SYNCHRONIZE CACHE',
  [scsi.UNMAP]: 'UNMAP',
  [scsi.REPORT_LUNS]: 'REPORT LUNS',
};
/** Task management functions by their numbers. Specification 1.4 section 5.6.6.2. */
const TASK_FUNCTIONS = [
  'ABORT TASK',
  'ABORT TASK SET',
  'CLEAR ACA',
  'CLEAR TASK SET',
  'I_T NEXUS RESET',
  'LOGICAL UNIT RESET',
  'QUERY TASK',
  'QUERY TASK SET',
];

/** A command by its CDB, with its first block where it has one: `write of block 312`, `INQUIRY`. */
export function nameOfCommand(cdb: Uint8Array): string {
  const opcode = cdb[0]!;
  const name = PLACED[opcode];
  if (name === undefined) return OTHERS[opcode] ?? `command 0x${opcode.toString(16)}`;
  return `${name} of block ${firstBlock(cdb)}`;
}

/** A control request: `LOGICAL UNIT RESET`, `notification query`. */
export function nameOfControl(type: number, subtype: number): string {
  if (type === VIRTIO_SCSI_T_TMF) return TASK_FUNCTIONS[subtype] ?? `task management function ${subtype}`;
  return type === VIRTIO_SCSI_T_AN_QUERY ? 'notification query' : 'notification subscription';
}

/** The group of the operation code says where the address is. SPC-4 section 4.2.5. */
function firstBlock(cdb: Uint8Array): number {
  const group = cdb[0]! >> 5;
  if (group === 0) return get32(cdb, 0) & 0x1f_ffff;
  return group === 4 ? get64(cdb, 2) : get32(cdb, 2);
}
