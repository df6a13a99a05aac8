import type { Random } from '@virtio-platform/device-kit';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { get32, get64 } from '../big-endian.ts';
import * as scsi from '../scsi-commands.ts';
import { SCSI_MAX_LUN } from '../layout.ts';
import { FIXED_SENSE_SIZE, isUnitAttention, readSense, SENSE } from '../scsi-sense.ts';
import { common } from './cell-operations.ts';
import { inquiry, INQUIRY_BYTES, STANDARD_PAGE } from './discover-unit.ts';
import type { Operation, WrongData } from './operation.ts';
import type { UnitModel } from './unit-model.ts';

/** An operation code that no disk has. SPC-4 table D.2: vendor specific. */
const NO_OPCODE = 0xff;
/** A mode page that each disk has. SBC-3 section 6.4.4. */
const CACHING_PAGE = 0x08;
/** Peripheral qualifier and type of a unit that its target does not have. SPC-4 section 6.6.2. */
const ABSENT = 0x7f;
const MODE_BYTES = 192;
/** Bytes of a list of units that a query asks for. */
const LIST_BYTES = 512;

/** Makes commands that change nothing, with what their answers have to be. */
export class QueryOperations {
  readonly #units: readonly UnitModel[];
  readonly #memory: GuestMemory;
  readonly #random: Random;
  readonly #kinds: readonly ((unit: UnitModel) => Operation)[];

  constructor(units: readonly UnitModel[], memory: GuestMemory, random: Random) {
    this.#units = units;
    this.#memory = memory;
    this.#random = random;
    this.#kinds = [
      (unit) => ({ ...common(unit, 'TEST UNIT READY'), cdb: scsi.testUnitReadyCdb() }),
      (unit) => ({ ...common(unit, 'START UNIT'), cdb: scsi.startStopUnitCdb(true) }),
      (unit) => ({ ...common(unit, 'SYNCHRONIZE CACHE'), cdb: scsi.synchronizeCacheCdb() }),
      (unit) => this.#requestSense(unit),
      (unit) => this.#inquiry(unit),
      (unit) => this.#capacity(unit, false),
      (unit) => this.#capacity(unit, true),
      (unit) => this.#reportLuns(unit),
      (unit) => this.#modes(unit),
      (unit) => this.#beyond(unit),
      (unit) => ({ ...common(unit, 'an unknown command'), cdb: Uint8Array.of(NO_OPCODE), sense: SENSE.INVALID_OPCODE }),
      (unit) => this.#absent(unit),
    ];
  }

  /** A command for a unit that is there. */
  make(unit: UnitModel): Operation {
    return this.#random.pick(this.#kinds)(unit);
  }

  /** A command for a unit that is not there. */
  probe(unit: UnitModel): Operation {
    const name = 'TEST UNIT READY of no unit';
    return { ...common(unit, name), cdb: scsi.testUnitReadyCdb(), sense: SENSE.LUN_NOT_SUPPORTED };
  }

  /** A unit attention is told as data, and then told no more. */
  #requestSense(unit: UnitModel): Operation {
    const { u8 } = this.#memory;
    const check = (address: number, moved: number): WrongData | undefined => {
      const code = readSense(u8, address, moved);
      // QEMU gives the sense data of an earlier command again, and says of units but 0 that they are not there.
      const isOld = unit.told.has(code) || (code === SENSE.LUN_NOT_SUPPORTED && unit.lun !== 0 && unit.told.size > 0);
      if (isOld && isUnitAttention(code)) unit.forgiveAttention();
      else if (isUnitAttention(code) && unit.takeAttention(code)) return undefined;
      if (code === SENSE.NONE || isOld) return undefined;
      return `REQUEST SENSE gave code 0x${code.toString(16)}`;
    };
    const cdb = scsi.requestSenseCdb(FIXED_SENSE_SIZE);
    return { ...common(unit, 'REQUEST SENSE'), cdb, dataIn: FIXED_SENSE_SIZE, moves: FIXED_SENSE_SIZE, check };
  }

  #inquiry(unit: UnitModel): Operation {
    const pages = [...unit.inquiries.keys()];
    const page = pages.length === 0 ? STANDARD_PAGE : this.#random.pick([...pages, scsi.VPD_SUPPORTED]);
    return inquiry(unit, this.#memory, page, true);
  }

  #capacity(unit: UnitModel, isLong: boolean): Operation {
    const { u8 } = this.#memory;
    const check = (address: number, moved: number): WrongData | undefined => {
      const data = u8.slice(address, address + moved);
      const last = isLong ? get64(data, 0) : get32(data, 0);
      const size = get32(data, isLong ? 8 : 4);
      const wanted = isLong ? unit.blocks - 1 : Math.min(unit.blocks - 1, 0xffff_ffff);
      if (last === wanted && size === unit.blockSize) return undefined;
      return `the last block is ${last} of ${size} bytes, instead of ${wanted} of ${unit.blockSize}`;
    };
    const name = isLong ? 'READ CAPACITY(16)' : 'READ CAPACITY(10)';
    const cdb = isLong ? scsi.readCapacity16Cdb() : scsi.readCapacity10Cdb();
    const bytes = isLong ? 32 : 8;
    return { ...common(unit, name), cdb, dataIn: bytes, moves: bytes, check };
  }

  /** Unit 0 answers for its target, and is in the list although it may not be there (SPC-4 section 6.33). */
  #reportLuns(unit: UnitModel): Operation {
    const { u8 } = this.#memory;
    const check = (address: number, moved: number): WrongData | undefined => {
      const data = u8.slice(address, address + moved);
      const listed = new Set<number>([0]);
      for (let at = 8; at + 8 <= data.length; at += 8) listed.add(((data[at]! & 0x3f) << 8) | data[at + 1]!);
      const there = this.#units.filter(({ target, isPlugged }) => target === unit.target && isPlugged);
      const wanted = new Set([0, ...there.map(({ lun }) => lun)]);
      const isCut = get32(data, 0) + 8 > data.length;
      const isRight = [...listed].every((lun) => wanted.has(lun)) && (isCut || listed.size === wanted.size);
      if (isRight) return undefined;
      return `the target lists units ${[...listed].join(', ')}, instead of ${[...wanted].join(', ')}`;
    };
    const first = this.#units.find(({ target, lun }) => target === unit.target && lun === 0) ?? unit;
    return { ...common(first, 'REPORT LUNS'), lun: 0, cdb: scsi.reportLunsCdb(LIST_BYTES), dataIn: LIST_BYTES, check };
  }

  #modes(unit: UnitModel): Operation {
    const { u8 } = this.#memory;
    const check = (address: number, moved: number): WrongData | undefined => {
      const data = u8.slice(address, address + moved);
      const page = 4 + (data[3] ?? 0);
      // QEMU's residual counts zeros behind the page.
      if (data.length < 4 || data[0]! + 1 > data.length) return `${data.length} bytes, and ${data[0]} in the header`;
      if ((data[page]! & 0x3f) !== CACHING_PAGE) return `page ${data[page]}, instead of ${CACHING_PAGE}`;
      const isProtected = (data[2]! & 0x80) !== 0;
      if (isProtected === unit.settings.readOnly) return undefined;
      return `the disk is ${isProtected ? '' : 'not '}write-protected, against the settings`;
    };
    return {
      ...common(unit, 'MODE SENSE(6)'),
      cdb: scsi.modeSense6Cdb(CACHING_PAGE, MODE_BYTES),
      dataIn: MODE_BYTES,
      check,
    };
  }

  #beyond(unit: UnitModel): Operation {
    const cdb = scsi.blockCdb(16, scsi.READ_16, unit.blocks + this.#random.below(1000), 1);
    return { ...common(unit, 'read beyond the end'), cdb, dataIn: unit.blockSize, sense: SENSE.LBA_OUT_OF_RANGE };
  }

  /** INQUIRY of a unit that no settings have: the answer says that it is not there (SPC-4 section 6.6). */
  #absent({ target }: UnitModel): Operation {
    const used = new Set(this.#units.filter((unit) => unit.target === target).map(({ lun }) => lun));
    let lun = 1 + this.#random.below(SCSI_MAX_LUN - this.#units.length);
    while (used.has(lun)) lun++;
    const { u8 } = this.#memory;
    const check = (address: number, moved: number): WrongData | undefined => {
      const peripheral = moved === 0 ? 0 : u8[address]!;
      return peripheral === ABSENT ? undefined : `INQUIRY says peripheral ${peripheral}, instead of ${ABSENT}`;
    };
    const base = { name: 'INQUIRY of no unit', target, lun, unit: undefined, dataOut: 0, dataIn: INQUIRY_BYTES };
    return { ...base, cdb: scsi.inquiryCdb(INQUIRY_BYTES), sense: SENSE.NONE, check, isCounted: true };
  }
}
