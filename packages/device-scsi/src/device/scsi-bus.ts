import { get32, put32 } from '../big-endian.ts';
import { INQUIRY, REPORT_LUNS, REQUEST_SENSE } from '../scsi-commands.ts';
import { LUN_SIZE, REPORT_LUNS_UNIT, targetOf, writeLun } from '../scsi-lun.ts';
import { FIXED_SENSE_SIZE, SENSE, writeSense, type SenseCode } from '../scsi-sense.ts';
import { answerData } from './command-answer.ts';
import type { CommandBuffers } from './command-buffers.ts';
import { DiskCommands } from './disk-commands.ts';
import type { DiskUnit } from './disk-unit.ts';
import { standardInquiry } from './inquiry-pages.ts';

/** In place of a sense code: there is no such target. */
export const BAD_TARGET: SenseCode = -2;

/** Answers of REPORT LUNS that SPC-4 section 6.33 names: addressed units, well-known ones, all. */
const MOST_SELECT = 2;
const WELL_KNOWN = 1;

/** The targets of a host with their logical units, and who answers a command. */
export class ScsiBus {
  /** Those that are plugged in, and those that are not. */
  readonly units: readonly DiskUnit[];
  readonly #commands = new DiskCommands();
  readonly #byKey: ReadonlyMap<number, DiskUnit>;
  readonly #report: Uint8Array;

  constructor(units: readonly DiskUnit[]) {
    this.units = units;
    this.#byKey = new Map(units.map((unit) => [unit.key, unit]));
    this.#report = new Uint8Array(LUN_SIZE * (units.length + 2));
  }

  /** The unit of an address, where it is plugged in. Hot. */
  find(key: number): DiskUnit | undefined {
    const unit = this.#byKey.get(key);
    return unit?.isPlugged === true ? unit : undefined;
  }

  /** Whether a target has any logical unit. */
  hasTarget(target: number): boolean {
    for (const unit of this.units) if (unit.target === target && unit.isPlugged) return true;
    return false;
  }

  /** Has the other units of the target of `unit` tell that there are other units now. */
  announce({ target, key }: DiskUnit): void {
    for (const unit of this.units) if (unit.target === target && unit.key !== key) unit.attend(SENSE.LUNS_CHANGED);
  }

  /** Executes a command. Returns its sense code, {@link BAD_TARGET} or `OVERRUN`. Throws what a backing throws. */
  execute(key: number, io: CommandBuffers): SenseCode {
    const opcode = io.cdb[0];
    if (key === REPORT_LUNS_UNIT) return opcode === REPORT_LUNS ? this.#reportAll(io) : this.#executeAbsent(io);
    const unit = this.find(key);
    if (unit === undefined && (key < 0 || !this.hasTarget(targetOf(key)))) return BAD_TARGET;
    if (opcode === REPORT_LUNS) return this.#reportTarget(targetOf(key), io);
    if (unit === undefined) return this.#executeAbsent(io);
    if (unit.hasAttention && opcode !== INQUIRY && opcode !== REQUEST_SENSE) return unit.takeAttention();
    return this.#commands.execute(unit, io);
  }

  /** A unit that its target does not have. SPC-4 section 6.6 and SAM-5 section 5.11. */
  #executeAbsent(io: CommandBuffers): SenseCode {
    if (io.cdb[0] === INQUIRY) {
      if (io.cdb[1] !== 0 || io.cdb[2] !== 0) return SENSE.INVALID_FIELD_IN_CDB;
      const data = standardInquiry(false);
      return answerData(io, data, data.length, (io.cdb[3]! << 8) | io.cdb[4]!);
    }
    if (io.cdb[0] !== REQUEST_SENSE) return SENSE.LUN_NOT_SUPPORTED;
    const data = new Uint8Array(FIXED_SENSE_SIZE);
    writeSense(data, 0, SENSE.LUN_NOT_SUPPORTED);
    return answerData(io, data, data.length, io.cdb[4]!);
  }

  /** Unit 0 is in the list of each target, whether or not it has one (SPC-4 section 6.33). */
  #reportTarget(target: number, io: CommandBuffers): SenseCode {
    let end = LUN_SIZE;
    const [select, list] = [io.cdb[2]!, this.#report];
    list.fill(0);
    if (select !== WELL_KNOWN) {
      end += LUN_SIZE;
      for (const unit of this.units) {
        if (unit.target !== target || !unit.isPlugged || unit.lun === 0) continue;
        if (unit.lun > 0xff) list[end] = 0x40 | (unit.lun >> 8);
        list[end + 1] = unit.lun & 0xff;
        end += LUN_SIZE;
      }
    }
    const code = this.#answerReport(io, select, end);
    if (code === SENSE.NONE)
      for (const unit of this.units) if (unit.target === target) unit.clearAttention(SENSE.LUNS_CHANGED);
    return code;
  }

  /** The well-known unit of the whole host: the addresses of all its units, as requests have them. */
  #reportAll(io: CommandBuffers): SenseCode {
    let end = LUN_SIZE;
    this.#report.fill(0);
    for (const { target, lun, isPlugged } of this.units) {
      if (!isPlugged) continue;
      writeLun(this.#report, end, target, lun);
      end += LUN_SIZE;
    }
    return this.#answerReport(io, io.cdb[2]!, end);
  }

  #answerReport(io: CommandBuffers, select: number, end: number): SenseCode {
    const allocation = get32(io.cdb, 6);
    if (select > MOST_SELECT || allocation < 2 * LUN_SIZE) return SENSE.INVALID_FIELD_IN_CDB;
    put32(this.#report, 0, end - LUN_SIZE);
    return answerData(io, this.#report, end, allocation);
  }
}
