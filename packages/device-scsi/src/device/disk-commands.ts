import { get16, get32, get64, put32, put64 } from '../big-endian.ts';
import * as scsi from '../scsi-commands.ts';
import { FIXED_SENSE_SIZE, SENSE, writeSense, type SenseCode } from '../scsi-sense.ts';
import type { CommandBuffers } from './command-buffers.ts';
import { answerData, OVERRUN } from './command-answer.ts';
import type { DiskUnit } from './disk-unit.ts';
import { MOST_BLOCKS, MOST_UNMAP_RUNS, standardInquiry, vitalPage } from './inquiry-pages.ts';
import { modeParameters } from './mode-pages.ts';

/** How much of a command is copied at once: whole blocks of any size. */
const SCRATCH_SIZE = 0x1_0000;

/** NDOB of WRITE SAME(16): the blocks become zeros, and there is no data. SBC-3 section 5.46. */
const NO_DATA_OUT = 0x01;
/** ANCHOR of UNMAP and WRITE SAME, which this disk does not have. */
const WRITE_SAME_ANCHOR = 0x10;

/**
 * The commands of a disk (SPC-4, SBC-3): each returns its sense code, {@link SENSE} NONE for GOOD, or {@link OVERRUN}
 * where the CDB asks for more data than the buffers have. A write of which a part cannot be read from memory leaves the
 * disk as it was.
 */
export class DiskCommands {
  readonly #scratch: Uint8Array = new Uint8Array(SCRATCH_SIZE);
  readonly #small: Uint8Array = new Uint8Array(32);

  /** Executes a command that is no REPORT LUNS. Throws what the backing throws. */
  execute(unit: DiskUnit, io: CommandBuffers): SenseCode {
    const { cdb } = io;
    switch (cdb[0]) {
      case scsi.TEST_UNIT_READY:
        return unit.isStarted ? SENSE.NONE : SENSE.NOT_STARTED;
      case scsi.REQUEST_SENSE:
        return this.#requestSense(unit, io);
      case scsi.INQUIRY:
        return inquire(unit, io);
      case scsi.MODE_SENSE_6:
        return senseModes(unit, io, cdb[4]!, false);
      case scsi.MODE_SENSE_10:
        return senseModes(unit, io, get16(cdb, 7), true);
      case scsi.START_STOP_UNIT:
        return startOrStop(unit, cdb);
      default:
        return unit.isStarted ? this.#access(unit, io) : SENSE.NOT_STARTED;
    }
  }

  /** Commands that need the medium. */
  #access(unit: DiskUnit, io: CommandBuffers): SenseCode {
    const { cdb } = io;
    switch (cdb[0]) {
      case scsi.READ_CAPACITY_10:
        return this.#readCapacity10(unit, io);
      case scsi.SERVICE_ACTION_IN_16:
        return (cdb[1]! & 0x1f) === scsi.READ_CAPACITY_16_ACTION
          ? this.#readCapacity16(unit, io)
          : SENSE.INVALID_FIELD_IN_CDB;
      case scsi.READ_6:
        return this.#read(unit, io, get32(cdb, 0) & 0x1f_ffff, cdb[4]! || 256);
      case scsi.READ_10:
        return this.#read(unit, io, get32(cdb, 2), get16(cdb, 7));
      case scsi.READ_12:
        return this.#read(unit, io, get32(cdb, 2), get32(cdb, 6));
      case scsi.READ_16:
        return this.#read(unit, io, get64(cdb, 2), get32(cdb, 10));
      case scsi.WRITE_6:
        return this.#write(unit, io, get32(cdb, 0) & 0x1f_ffff, cdb[4]! || 256);
      case scsi.WRITE_10:
        return this.#write(unit, io, get32(cdb, 2), get16(cdb, 7));
      case scsi.WRITE_12:
        return this.#write(unit, io, get32(cdb, 2), get32(cdb, 6));
      case scsi.WRITE_16:
        return this.#write(unit, io, get64(cdb, 2), get32(cdb, 10));
      case scsi.VERIFY_10:
        return verify(unit, cdb, get32(cdb, 2), get16(cdb, 7));
      case scsi.VERIFY_16:
        return verify(unit, cdb, get64(cdb, 2), get32(cdb, 10));
      case scsi.SYNCHRONIZE_CACHE_10:
        return synchronize(unit, get32(cdb, 2), get16(cdb, 7));
      case scsi.SYNCHRONIZE_CACHE_16:
        return synchronize(unit, get64(cdb, 2), get32(cdb, 10));
      case scsi.UNMAP:
        return this.#unmap(unit, io);
      case scsi.WRITE_SAME_10:
        return this.#writeSame(unit, io, get32(cdb, 2), get16(cdb, 7), cdb[1]! & ~NO_DATA_OUT);
      case scsi.WRITE_SAME_16:
        return this.#writeSame(unit, io, get64(cdb, 2), get32(cdb, 10), cdb[1]!);
      default:
        return SENSE.INVALID_OPCODE;
    }
  }

  /** Tells a unit attention as data, which ends it (SPC-4 section 6.37). */
  #requestSense(unit: DiskUnit, io: CommandBuffers): SenseCode {
    const [form, allocation] = [io.cdb[1]!, io.cdb[4]!];
    if ((form & 1) !== 0) return SENSE.INVALID_FIELD_IN_CDB;
    if (allocation > io.dataIn) return OVERRUN;
    const attention = unit.takeAttention();
    writeSense(this.#small, 0, attention === SENSE.NONE && !unit.isStarted ? SENSE.NOT_STARTED : attention);
    return answerData(io, this.#small, FIXED_SENSE_SIZE, allocation);
  }

  #readCapacity10(unit: DiskUnit, io: CommandBuffers): SenseCode {
    put32(this.#small, 0, Math.min(unit.blocks - 1, 0xffff_ffff));
    put32(this.#small, 4, unit.blockSize);
    return answerData(io, this.#small, 8, 8);
  }

  #readCapacity16(unit: DiskUnit, io: CommandBuffers): SenseCode {
    const data = this.#small;
    data.fill(0);
    put64(data, 0, unit.blocks - 1);
    put32(data, 8, unit.blockSize);
    data[14] = 0xc0; // provisioning is managed, and unmapped blocks read as zeros
    return answerData(io, data, data.length, get32(io.cdb, 10));
  }

  #read(unit: DiskUnit, io: CommandBuffers, lba: number, blocks: number): SenseCode {
    const bytes = blocks * unit.blockSize;
    if (bytes > io.dataIn) return OVERRUN;
    const wrong = checkRange(unit, lba, blocks);
    if (wrong !== SENSE.NONE) return wrong;
    for (let done = 0; done < bytes;) {
      const run = Math.min(bytes - done, SCRATCH_SIZE);
      unit.backing.read(lba * unit.blockSize + done, this.#scratch, 0, run);
      if (!io.write(done, this.#scratch, 0, run)) return SENSE.DATA_PHASE_ERROR;
      done += run;
    }
    return SENSE.NONE;
  }

  #write(unit: DiskUnit, io: CommandBuffers, lba: number, blocks: number): SenseCode {
    const bytes = blocks * unit.blockSize;
    if (bytes > io.dataOut) return OVERRUN;
    if (unit.isReadOnly) return SENSE.WRITE_PROTECTED;
    const wrong = checkRange(unit, lba, blocks);
    if (wrong !== SENSE.NONE) return wrong;
    if (bytes > SCRATCH_SIZE && !this.#isReadable(io, bytes)) return SENSE.DATA_PHASE_ERROR;
    for (let done = 0; done < bytes;) {
      const run = Math.min(bytes - done, SCRATCH_SIZE);
      if (!io.read(done, this.#scratch, 0, run)) return SENSE.DATA_PHASE_ERROR;
      unit.backing.write(lba * unit.blockSize + done, this.#scratch, 0, run);
      done += run;
    }
    io.transferred = bytes;
    return SENSE.NONE;
  }

  /** Whether all data of a write can be read: before the first of several parts changes the disk. */
  #isReadable(io: CommandBuffers, bytes: number): boolean {
    for (let done = 0; done < bytes; done += SCRATCH_SIZE)
      if (!io.read(done, this.#scratch, 0, Math.min(bytes - done, SCRATCH_SIZE))) return false;
    return true;
  }

  #unmap(unit: DiskUnit, io: CommandBuffers): SenseCode {
    const length = get16(io.cdb, 7);
    if ((io.cdb[1]! & 1) !== 0) return SENSE.INVALID_FIELD_IN_CDB;
    if (length > io.dataOut) return OVERRUN;
    if (length === 0) return SENSE.NONE;
    if (length < 8) return SENSE.PARAMETER_LIST_LENGTH;
    const list = this.#scratch;
    if (!io.read(0, list, 0, length)) return SENSE.DATA_PHASE_ERROR;
    const runs = Math.floor(Math.min(get16(list, 2), length - 8) / 16);
    if (runs > MOST_UNMAP_RUNS) return SENSE.INVALID_FIELD_IN_PARAMETERS;
    if (unit.isReadOnly) return SENSE.WRITE_PROTECTED;
    let sum = 0;
    // All of them before the first is done.
    for (let at = 8; at < 8 + 16 * runs; at += 16) {
      const blocks = get32(list, at + 8);
      if (get64(list, at) + blocks > unit.blocks) return SENSE.LBA_OUT_OF_RANGE;
      sum += blocks;
      if (sum > MOST_BLOCKS) return SENSE.INVALID_FIELD_IN_PARAMETERS;
    }
    // The list moves out of the scratch.
    const zeroed = list.slice(8, 8 + 16 * runs);
    for (let at = 0; at < zeroed.length; at += 16) this.#zero(unit, get64(zeroed, at), get32(zeroed, at + 8));
    io.transferred = length;
    return SENSE.NONE;
  }

  #writeSame(unit: DiskUnit, io: CommandBuffers, lba: number, blocks: number, flags: number): SenseCode {
    const { blockSize } = unit;
    const hasData = (flags & NO_DATA_OUT) === 0;
    if ((flags & (WRITE_SAME_ANCHOR | 0xe0)) !== 0 || blocks === 0 || blocks > MOST_BLOCKS)
      return SENSE.INVALID_FIELD_IN_CDB;
    if (hasData && blockSize > io.dataOut) return OVERRUN;
    if (unit.isReadOnly) return SENSE.WRITE_PROTECTED;
    const wrong = checkRange(unit, lba, blocks);
    if (wrong !== SENSE.NONE) return wrong;
    if (hasData && !io.read(0, this.#scratch, 0, blockSize)) return SENSE.DATA_PHASE_ERROR;
    if (hasData) io.transferred = blockSize;
    if (!hasData || isZero(this.#scratch, blockSize)) {
      this.#zero(unit, lba, blocks);
      return SENSE.NONE;
    }
    for (let filled = blockSize; filled < SCRATCH_SIZE; filled *= 2) this.#scratch.copyWithin(filled, 0, filled);
    for (let done = 0; done < blocks * blockSize;) {
      const run = Math.min(blocks * blockSize - done, SCRATCH_SIZE);
      unit.backing.write(lba * blockSize + done, this.#scratch, 0, run);
      done += run;
    }
    return SENSE.NONE;
  }

  /** Blocks that are zero already stay as they are: memory that was never written takes no room. */
  #zero(unit: DiskUnit, lba: number, blocks: number): void {
    const bytes = blocks * unit.blockSize;
    for (let done = 0; done < bytes;) {
      const run = Math.min(bytes - done, SCRATCH_SIZE);
      unit.backing.read(lba * unit.blockSize + done, this.#scratch, 0, run);
      if (!isZero(this.#scratch, run)) {
        this.#scratch.fill(0, 0, run);
        unit.backing.write(lba * unit.blockSize + done, this.#scratch, 0, run);
      }
      done += run;
    }
  }
}

function inquire(unit: DiskUnit, io: CommandBuffers): SenseCode {
  const [flags, page] = [io.cdb[1]!, io.cdb[2]!];
  const isVital = (flags & 1) !== 0;
  if ((flags & ~1) !== 0 || (!isVital && page !== 0)) return SENSE.INVALID_FIELD_IN_CDB;
  const data = isVital ? vitalPage(unit, page) : standardInquiry(true);
  if (data === undefined) return SENSE.INVALID_FIELD_IN_CDB;
  return answerData(io, data, data.length, get16(io.cdb, 3));
}

function senseModes(unit: DiskUnit, io: CommandBuffers, allocation: number, isLong: boolean): SenseCode {
  const [flags, query, subpage] = [io.cdb[1]!, io.cdb[2]!, io.cdb[3]!];
  const values = query >> 6;
  if (values === 3) return SENSE.SAVING_NOT_SUPPORTED;
  if (subpage !== 0 && subpage !== 0xff) return SENSE.INVALID_FIELD_IN_CDB;
  const data = modeParameters(unit, { page: query & 0x3f, values, isBrief: (flags & 0x08) !== 0, isLong });
  return data === undefined ? SENSE.INVALID_FIELD_IN_CDB : answerData(io, data, data.length, allocation);
}

/** The medium cannot be ejected, and there are no power conditions. */
function startOrStop(unit: DiskUnit, cdb: Uint8Array): SenseCode {
  const power = cdb[4]!;
  if (power >> 4 !== 0 || (power & 2) !== 0) return SENSE.INVALID_FIELD_IN_CDB;
  unit.isStarted = (power & 1) !== 0;
  return SENSE.NONE;
}

/** What is on the disk is right: there is nothing to compare it with. */
function verify(unit: DiskUnit, cdb: Uint8Array, lba: number, blocks: number): SenseCode {
  return (cdb[1]! & 0x06) === 0 ? checkRange(unit, lba, blocks) : SENSE.INVALID_FIELD_IN_CDB;
}

/** All of the disk: a part of it cannot be flushed alone. */
function synchronize(unit: DiskUnit, lba: number, blocks: number): SenseCode {
  if (lba + blocks > unit.blocks) return SENSE.LBA_OUT_OF_RANGE;
  unit.backing.flush();
  return SENSE.NONE;
}

function checkRange(unit: DiskUnit, lba: number, blocks: number): SenseCode {
  if (lba + blocks > unit.blocks) return SENSE.LBA_OUT_OF_RANGE;
  return blocks > MOST_BLOCKS ? SENSE.INVALID_FIELD_IN_CDB : SENSE.NONE;
}

function isZero(bytes: Uint8Array, length: number): boolean {
  for (let i = 0; i < length; i++) if (bytes[i] !== 0) return false;
  return true;
}
