import type { GuestMemory } from '@virtio-platform/core/memory';
import * as scsi from '../scsi-commands.ts';
import { SENSE } from '../scsi-sense.ts';
import type { Operation } from './operation.ts';
import { SAME, UNKNOWN, UNMAPPED, WRITTEN, ZERO, type UnitModel } from './unit-model.ts';

/** A cell that an operation is for. */
export interface CellPlace {
  readonly unit: UnitModel;
  readonly cell: number;
}

/** Reads a cell and compares it with the model. */
export function readCell({ unit, cell }: CellPlace, memory: GuestMemory, isLong: boolean): Operation {
  const { cellSize } = unit;
  const lba = unit.lbaOf(cell);
  const [size, opcode] = isLong || lba > 0xffff_ffff ? ([16, scsi.READ_16] as const) : ([10, scsi.READ_10] as const);
  unit.begin(cell, true);
  return {
    ...common(unit, `read of block ${lba}`),
    cdb: scsi.blockCdb(size, opcode, lba, unit.cellBlocks),
    dataIn: cellSize,
    moves: cellSize,
    check: (address) => unit.compare(memory, address, cell),
    end: () => unit.end(cell, true),
  };
}

/** Writes the pattern of a round to a cell. */
export function writeCell(place: CellPlace, memory: GuestMemory, round: number, isLong: boolean): Operation {
  const { unit, cell } = place;
  const { cellSize } = unit;
  const lba = unit.lbaOf(cell);
  const [size, opcode] = isLong || lba > 0xffff_ffff ? ([16, scsi.WRITE_16] as const) : ([10, scsi.WRITE_10] as const);
  return {
    ...common(unit, `write of block ${lba}`),
    cdb: scsi.blockCdb(size, opcode, lba, unit.cellBlocks),
    dataOut: cellSize,
    moves: cellSize,
    fill: (address) => unit.fill(memory, address, cellSize, cell, round),
    ...change(place, WRITTEN, round),
  };
}

/** Fills a cell with one logical block: the pattern of a round, or zeros, which the device may unmap. */
export function fillCell(place: CellPlace, memory: GuestMemory, round: number, isZero: boolean): Operation {
  const { unit, cell } = place;
  const { blockSize } = unit;
  const lba = unit.lbaOf(cell);
  return {
    ...common(unit, `write same of block ${lba}`),
    cdb: scsi.writeSame16Cdb(lba, unit.cellBlocks, isZero ? scsi.WRITE_SAME_UNMAP : 0),
    dataOut: blockSize,
    moves: blockSize,
    fill: isZero
      ? (address) => void memory.u8.fill(0, address, address + blockSize)
      : (address) => unit.fill(memory, address, blockSize, cell, round),
    ...change(place, isZero ? ZERO : SAME, round),
  };
}

/** Unmaps a cell. */
export function unmapCell(place: CellPlace, memory: GuestMemory): Operation {
  const { unit, cell } = place;
  const lba = unit.lbaOf(cell);
  const list = scsi.unmapList([[lba, unit.cellBlocks]]);
  return {
    ...common(unit, `unmap of block ${lba}`),
    cdb: scsi.unmapCdb(list.length),
    dataOut: list.length,
    fill: (address) => memory.u8.set(list, address),
    ...change(place, unit.readsZeros ? ZERO : UNMAPPED, 0),
  };
}

/** What is the same of all operations that a unit has to execute. */
export function common(
  unit: UnitModel,
  name: string,
): Pick<Operation, 'name' | 'target' | 'lun' | 'unit' | 'dataOut' | 'dataIn' | 'sense' | 'isCounted'> {
  const { target, lun } = unit;
  return { name, target, lun, unit, dataOut: 0, dataIn: 0, sense: SENSE.NONE, isCounted: true };
}

/** What changes a cell: nothing on a disk that is read-only, and something or nothing where that is not known. */
function change({ unit, cell }: CellPlace, kind: number, round: number): Pick<Operation, 'sense' | 'end'> {
  unit.begin(cell, false);
  return {
    sense: unit.settings.readOnly ? SENSE.WRITE_PROTECTED : SENSE.NONE,
    end(outcome) {
      unit.end(cell, false);
      if (outcome === 'executed') unit.set(cell, kind, round);
      else if (outcome === 'unknown') unit.set(cell, UNKNOWN, 0);
    },
  };
}
