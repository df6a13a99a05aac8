import type { DataDifference, MismatchKind } from '@virtio-platform/core';
import { FLAW_RESIDUAL, FLAW_SENSE_LENGTH, NO_RESPONSE } from '../driver/command-lane.ts';
import type { ScsiDriver } from '../driver/scsi-driver.ts';
import {
  describeResponse,
  VIRTIO_SCSI_S_BAD_TARGET,
  VIRTIO_SCSI_S_BUSY,
  VIRTIO_SCSI_S_FAILURE,
  VIRTIO_SCSI_S_OK,
} from '../layout.ts';
import { INQUIRY, REPORT_LUNS, REQUEST_SENSE } from '../scsi-commands.ts';
import { describeSense, isUnitAttention, SCSI_CHECK_CONDITION, SCSI_GOOD, SENSE } from '../scsi-sense.ts';
import type { Operation, Outcome, Pending } from './operation.ts';

/** What an answer is: right, to be made again, wrong unless an event explains it, or wrong. */
export interface Judgement {
  readonly verdict: 'right' | 'again' | 'attention' | 'suspect' | 'wrong';
  readonly outcome: Outcome;
  readonly kind?: MismatchKind;
  readonly detail?: string;
  readonly difference?: DataDifference;
}

/** BUSY and TASK SET FULL: status codes that ask for another try. SAM-5 section 5.3. */
const STATUS_BUSY = 0x08;
const STATUS_TASK_SET_FULL = 0x28;

/** Whether a command is executed although a unit attention waits. SPC-4 section 5.14. */
export function isExempt({ cdb }: Pick<Operation, 'cdb'>): boolean {
  return cdb[0] === INQUIRY || cdb[0] === REPORT_LUNS || cdb[0] === REQUEST_SENSE;
}

/** Compares the answer to a command with what it has to be, and with what the model of its unit allows. */
export function judgeAnswer(pending: Pending, driver: ScsiDriver, id: number): Judgement {
  const { operation, isDisturbed } = pending;
  const flaw = judgeFlaws(driver, id);
  if (flaw !== undefined) return flaw;
  const response = driver.responseOf(id);
  if (response === VIRTIO_SCSI_S_BUSY) return { verdict: 'again', outcome: 'refused' };
  if (response !== VIRTIO_SCSI_S_OK) {
    const isAbsent = response === VIRTIO_SCSI_S_BAD_TARGET && isMissing(operation);
    if (isAbsent || (isDisturbed && response <= VIRTIO_SCSI_S_FAILURE)) return { verdict: 'right', outcome: 'unknown' };
    const kind = response > VIRTIO_SCSI_S_FAILURE ? 'status-unknown' : 'status-error';
    return {
      verdict: 'suspect',
      outcome: 'unknown',
      kind,
      detail: `the device answered ${describeResponse(response)}`,
    };
  }
  const status = driver.statusOf(id);
  if (status === STATUS_BUSY || status === STATUS_TASK_SET_FULL) return { verdict: 'again', outcome: 'refused' };
  if (status === SCSI_CHECK_CONDITION) return judgeSense(pending, driver.senseOf(id));
  if (status !== SCSI_GOOD) return wrong('status-unknown', `status 0x${status.toString(16)} is of no such command`);
  return judgeGood(pending, driver, id);
}

/** Whether the settings have no such unit, or events said that it is gone. */
function isMissing({ unit }: Operation): boolean {
  return unit === undefined || !unit.isPlugged;
}

function wrong(kind: MismatchKind, detail: string): Judgement {
  return { verdict: 'wrong', outcome: 'unknown', kind, detail };
}

/** What no answer may have. */
function judgeFlaws(driver: ScsiDriver, id: number): Judgement | undefined {
  const flaws = driver.flawsOf(id);
  const { used } = driver.placeOf(id);
  if (driver.responseOf(id) === NO_RESPONSE) {
    const detail = `the device returned the buffer and left the response byte unwritten (used length ${used})`;
    return wrong('status-missing', detail);
  }
  const stray = driver.strayByteOf(id);
  if (flaws === 0 && stray < 0) return undefined;
  if (flaws === 0) return wrong('data', `byte ${stray} of the response is written, which has no sense data there`);
  if ((flaws & FLAW_SENSE_LENGTH) !== 0) return wrong('length', 'sense_len is larger than sense_size (5.6.6.1)');
  if ((flaws & FLAW_RESIDUAL) !== 0) return wrong('length', 'the residual is larger than the data (5.6.6.1)');
  return wrong('used-length', `used length ${used} does not cover response and data (2.7.8.2)`);
}

function judgeSense({ operation, isDisturbed }: Pending, code: number): Judgement {
  if (code <= 0) return wrong('status-error', 'CHECK CONDITION comes without sense data');
  const { unit, sense } = operation;
  const said = `the device answered CHECK CONDITION, ${describeSense(code)}`;
  unit?.told.add(code);
  if (isUnitAttention(code)) {
    // QEMU tells REQUEST SENSE so too, although the code is to be its data (SPC-4 section 6.37).
    const mayBeTold = !isExempt(operation) || operation.cdb[0] === REQUEST_SENSE;
    const isRight = mayBeTold && unit?.takeAttention(code) === true;
    if (isRight || isDisturbed) return { verdict: 'attention', outcome: 'refused' };
    return { verdict: 'suspect', outcome: 'refused', kind: 'status-error', detail: said };
  }
  const isAbsent = code === SENSE.LUN_NOT_SUPPORTED && isMissing(operation);
  if (code === sense || isAbsent) return { verdict: 'right', outcome: 'refused' };
  if (isDisturbed) return { verdict: 'right', outcome: 'unknown' };
  const instead = sense === SENSE.NONE ? 'GOOD' : describeSense(sense);
  return { verdict: 'suspect', outcome: 'unknown', kind: 'status-error', detail: `${said}, instead of ${instead}` };
}

function judgeGood({ operation, isDisturbed, isFirstAfterReset }: Pending, driver: ScsiDriver, id: number): Judgement {
  const { unit, sense, moves, dataIn, dataOut, check } = operation;
  const suspect = (kind: MismatchKind, detail: string): Judgement =>
    isDisturbed ? { verdict: 'right', outcome: 'unknown' } : { verdict: 'suspect', outcome: 'executed', kind, detail };
  if (sense !== SENSE.NONE) return suspect('status-error', `status GOOD, instead of ${describeSense(sense)}`);
  if (unit?.isPlugged === false && !isExempt(operation))
    return suspect('status-error', 'the unit is gone, and answers');
  if (isFirstAfterReset && unit?.missAttention() === true) {
    const detail = 'status GOOD, although no command is told that the unit was reset (UNIT ATTENTION)';
    return suspect('status-error', detail);
  }
  const moved = dataIn + dataOut - driver.residualOf(id);
  if (moves !== undefined && moved !== moves)
    return wrong('length', `the device says that it moved ${moved} bytes, instead of ${moves}`);
  const found = check?.(driver.dataInAddress(id), moved);
  if (found === undefined) return { verdict: 'right', outcome: 'executed' };
  if (typeof found === 'string') return suspect('data', found);
  // What is beyond a new capacity is not known yet.
  if (isDisturbed && unit?.isChanging === true) return { verdict: 'right', outcome: 'unknown' };
  const { offset, expected, actual } = found;
  const detail = `byte ${offset} is 0x${actual.toString(16)} instead of 0x${expected.toString(16)}, status GOOD`;
  return { ...wrong('data', detail), difference: found };
}
