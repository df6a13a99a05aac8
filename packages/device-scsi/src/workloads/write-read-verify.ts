import type { WorkDone, Workload } from '@virtio-platform/core';
import { DeviceError } from '@virtio-platform/core';
import type { ScsiDriver } from '../driver/scsi-driver.ts';
import { READ_16, WRITE_16, blockCdb } from '../scsi-commands.ts';
import { SENSE } from '../scsi-sense.ts';
import { discoverUnit } from './discover-unit.ts';
import type { Operation } from './operation.ts';
import { ScsiRequests, type ScsiWorkContext } from './scsi-requests.ts';
import { WRITTEN, type UnitModel } from './unit-model.ts';
import { unitModels, type ScsiWorkOptions } from './unit-models.ts';

/** A cell of a disk, among those of all disks. */
interface Place {
  readonly unit: UnitModel;
  readonly cell: number;
}

/**
 * Writes a pattern and reads it back, in rounds over all disks: each round writes up to all their cells, one disk after
 * the other in turns, and then reads them in reverse. Half the requests are writes.
 */
export class WriteReadVerify implements Workload {
  readonly #context: ScsiWorkContext<ScsiWorkOptions>;
  readonly #units: readonly UnitModel[];
  readonly #requests: ScsiRequests;

  /** Throws {@link DeviceError} `ERR_DEVICE_READ_ONLY` for a read-only disk, and as `unitModels` does. */
  constructor(driver: ScsiDriver, context: ScsiWorkContext<ScsiWorkOptions>) {
    this.#context = context;
    this.#units = unitModels(driver, context);
    this.#requests = new ScsiRequests(driver, context, true, {});
    if (!context.settings.disks.some(({ readOnly }) => readOnly)) return;
    throw new DeviceError('ERR_DEVICE_READ_ONLY', 'a disk is read-only, and the workload writes', {
      hint: 'make the disk writable, or use the workload mixed',
    });
  }

  get done(): WorkDone {
    return this.#requests.done;
  }

  async run(): Promise<void> {
    const { memory, requests: all } = this.#context;
    for (const unit of this.#units) if (!(await discoverUnit(this.#requests, unit, memory))) break;
    this.#requests.accuse();
    if (!this.#requests.isRight) return;
    for (let left = all, round = 0; left > 0; round++) {
      const writes = Math.min(this.#cells, Math.ceil(left / 2));
      const reads = Math.min(writes, left - writes);
      await this.#phase(writes, (at) => this.#operation(this.#placeOf(at), round, true));
      await this.#phase(reads, (at) => this.#operation(this.#placeOf(writes - 1 - at), round, false));
      left -= writes + reads;
    }
    this.#requests.accuse();
  }

  recover(queue: number, ids: readonly number[]): void {
    this.#requests.recover(queue, ids);
  }

  /** Cells of all disks together, of as many as the smallest has of each. */
  get #cells(): number {
    return this.#units.length * Math.min(...this.#units.map(({ cells }) => cells));
  }

  #placeOf(at: number): Place {
    const { length } = this.#units;
    return { unit: this.#units[at % length]!, cell: Math.floor(at / length) };
  }

  async #phase(count: number, make: (at: number) => Operation): Promise<void> {
    const requests = this.#requests;
    const end = requests.completed + count;
    for (let next = 0; requests.completed < end;) {
      while (next < count && requests.submit(make(next))) next++;
      requests.submitAgain();
      await requests.turn();
    }
  }

  #operation({ unit, cell }: Place, round: number, isWrite: boolean): Operation {
    const { memory } = this.#context;
    const { target, lun, cellSize } = unit;
    const lba = unit.lbaOf(cell);
    return {
      name: `${isWrite ? 'write' : 'read'} of block ${lba}`,
      target,
      lun,
      unit,
      cdb: blockCdb(16, isWrite ? WRITE_16 : READ_16, lba, unit.cellBlocks),
      dataOut: isWrite ? cellSize : 0,
      dataIn: isWrite ? 0 : cellSize,
      moves: cellSize,
      sense: SENSE.NONE,
      isCounted: true,
      fill: isWrite ? (address) => unit.fill(memory, address, cellSize, cell, round) : undefined,
      check: isWrite ? undefined : (address) => unit.compare(memory, address, cell),
      end: isWrite ? (outcome) => outcome === 'executed' && unit.set(cell, WRITTEN, round) : undefined,
    };
  }
}
