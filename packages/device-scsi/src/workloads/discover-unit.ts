import { DeviceError } from '@virtio-platform/core';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { get32, get64 } from '../big-endian.ts';
import * as scsi from '../scsi-commands.ts';
import { SENSE } from '../scsi-sense.ts';
import type { Operation, Outcome, WrongData } from './operation.ts';
import type { ScsiRequests } from './scsi-requests.ts';
import type { UnitModel } from './unit-model.ts';

/** Standard INQUIRY data among the pages of a model. */
export const STANDARD_PAGE = -1;
/** Bytes that INQUIRY asks for. */
export const INQUIRY_BYTES = 252;

/** Unit attentions in a row that a unit may tell before it is ready. */
const MOST_ATTENTIONS = 8;
const PAGES: readonly number[] = [
  scsi.VPD_SERIAL,
  scsi.VPD_IDENTIFICATION,
  scsi.VPD_BLOCK_LIMITS,
  scsi.VPD_PROVISIONING,
];

/** A command that finds something out about a unit, and counts among no requests. */
function question(
  unit: UnitModel,
  part: Pick<Operation, 'name' | 'cdb' | 'dataIn' | 'check'> & Partial<Operation>,
): Operation {
  return { target: unit.target, lun: unit.lun, unit, dataOut: 0, sense: SENSE.NONE, isCounted: false, ...part };
}

/**
 * Finds out what a driver has to know of a disk before it uses it, as Linux does: waits until it is ready, asks what
 * it is, and reads its capacity. Returns whether it may be used. Throws {@link DeviceError} `ERR_DEVICE_TOO_SMALL`.
 */
export async function discoverUnit(requests: ScsiRequests, unit: UnitModel, memory: GuestMemory): Promise<boolean> {
  unit.isUsable = false;
  unit.expect(SENSE.RESET);
  const ready = question(unit, { name: 'TEST UNIT READY', cdb: scsi.testUnitReadyCdb(), dataIn: 0 });
  if (!(await isExecuted(requests, ready))) return false;
  await requests.finish([inquiry(unit, memory, STANDARD_PAGE), inquiry(unit, memory, scsi.VPD_SUPPORTED)]);
  const listed = unit.inquiries.get(scsi.VPD_SUPPORTED)?.subarray(4) ?? new Uint8Array(0);
  await requests.finish(PAGES.filter((page) => listed.includes(page)).map((page) => inquiry(unit, memory, page)));
  return await readCapacity(requests, unit, memory);
}

/**
 * Asks whether a unit is there, of which events are lost: as Linux does, by INQUIRY. It is not there where its target
 * says so, and where nothing answers.
 */
export async function isPresent(requests: ScsiRequests, unit: UnitModel, { u8 }: GuestMemory): Promise<boolean> {
  let isThere = false;
  const check = (address: number, moved: number): undefined => void (isThere = moved > 0 && u8[address]! >> 5 === 0);
  const cdb = scsi.inquiryCdb(INQUIRY_BYTES);
  await isExecuted(requests, question(unit, { name: 'INQUIRY', cdb, dataIn: INQUIRY_BYTES, check }));
  return isThere;
}

/** Makes a command until it is executed, and not told of a unit attention instead. Returns whether it was. */
async function isExecuted(requests: ScsiRequests, operation: Operation): Promise<boolean> {
  const outcomes: Outcome[] = [];
  const end = (outcome: Outcome): void => void outcomes.push(outcome);
  for (let tries = 0; tries < MOST_ATTENTIONS && requests.isRight; tries++) {
    await requests.finish([{ ...operation, end }]);
    if (outcomes.at(-1) === 'executed') return true;
  }
  return false;
}

/** Reads the capacity again. Returns whether the unit may be used. Throws as {@link discoverUnit} does. */
export async function readCapacity(requests: ScsiRequests, unit: UnitModel, memory: GuestMemory): Promise<boolean> {
  const { settings } = unit;
  let blocks = 0;
  const check = (address: number, moved: number): WrongData | undefined => {
    const data = memory.u8.slice(address, address + moved);
    if (data.length < 12) return `READ CAPACITY gave ${moved} bytes`;
    const size = get32(data, 8);
    if (size !== unit.blockSize) return `the disk says blocks of ${size} bytes, and has ${unit.blockSize}`;
    blocks = get64(data, 0) + 1;
    unit.readsZeros = data.length > 14 && (data[14]! & 0x40) !== 0;
    return undefined;
  };
  const capacity = question(unit, { name: 'READ CAPACITY(16)', cdb: scsi.readCapacity16Cdb(), dataIn: 32, check });
  if (!(await isExecuted(requests, capacity)) || blocks === 0) return false;
  if (blocks * unit.blockSize < unit.cellSize) {
    const problem = `the disk has ${blocks * unit.blockSize} bytes, less than one block of the workload`;
    throw new DeviceError('ERR_DEVICE_TOO_SMALL', problem);
  }
  const isFirst = unit.blocks === 0;
  unit.blocks = blocks;
  unit.isChanging = false;
  unit.isUsable = true;
  if (isFirst && !unit.isResized && blocks * unit.blockSize !== settings.capacity) {
    const detail = `the disk has ${blocks * unit.blockSize} bytes, and the settings say ${settings.capacity}`;
    requests.note('data', `capacity of target ${unit.target}, unit ${unit.lun}`, detail);
  }
  return true;
}

/** INQUIRY, whose answer is the same each time. */
export function inquiry(unit: UnitModel, memory: GuestMemory, page: number, isCounted: boolean = false): Operation {
  const isStandard = page === STANDARD_PAGE;
  const check = (address: number, moved: number): WrongData | undefined => {
    const data = memory.u8.slice(address, address + moved);
    const before = unit.inquiries.get(page);
    if (before !== undefined) return compare(before, data);
    const wrong = isStandard ? checkStandard(data) : checkPage(unit, data, page);
    if (wrong === undefined) unit.inquiries.set(page, data);
    return wrong;
  };
  const name = isStandard ? 'INQUIRY' : `INQUIRY page 0x${page.toString(16)}`;
  const cdb = scsi.inquiryCdb(INQUIRY_BYTES, isStandard ? undefined : page);
  return question(unit, { name, cdb, dataIn: INQUIRY_BYTES, check, isCounted });
}

/** A text: a unit that is gone answers too, and an event may explain it. */
function compare(before: Uint8Array, data: Uint8Array): string | undefined {
  if (data.length !== before.length) return `${data.length} bytes, and ${before.length} when it was asked before`;
  const offset = data.findIndex((byte, at) => byte !== before[at]);
  return offset < 0
    ? undefined
    : `byte ${offset} is ${data[offset]}, and was ${before[offset]} when it was asked before`;
}

/** SPC-4 section 6.6.2. */
function checkStandard(data: Uint8Array): string | undefined {
  if (data.length < 36) return `INQUIRY gave ${data.length} bytes, and has 36 at least`;
  if (data[0] !== 0) return `INQUIRY says peripheral 0x${data[0]!.toString(16)}, which is no disk that is there`;
  return undefined;
}

/** SPC-4 section 7.8. */
function checkPage({ settings }: UnitModel, data: Uint8Array, page: number): string | undefined {
  if (data.length < 4 || data[1] !== page) return `the page says that it is page ${data[1] ?? 'of no number'}`;
  const length = (data[2]! << 8) | data[3]!;
  if (data.length < Math.min(length + 4, INQUIRY_BYTES))
    return `the page has ${length} bytes, and ${data.length - 4} came`;
  if (page !== scsi.VPD_SERIAL || settings.serial === '') return undefined;
  // QEMU's residual counts zeros behind the page.
  const serial = new TextDecoder('latin1').decode(data.subarray(4, 4 + length)).trim();
  return serial === settings.serial ? undefined : `the serial number is ${serial}, instead of ${settings.serial}`;
}
