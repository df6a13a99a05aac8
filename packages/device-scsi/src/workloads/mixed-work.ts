import type { WorkDone, Workload } from '@virtio-platform/core';
import { Random } from '@virtio-platform/device-kit';
import type { ScsiEvent } from '../driver/event-lane.ts';
import type { ScsiDriver } from '../driver/scsi-driver.ts';
import * as wire from '../layout.ts';
import { VIRTIO_SCSI_F_CHANGE, VIRTIO_SCSI_F_HOTPLUG } from '../scsi-features.ts';
import { SENSE } from '../scsi-sense.ts';
import { fillCell, readCell, unmapCell, writeCell, type CellPlace } from './cell-operations.ts';
import { discoverUnit, isPresent, readCapacity } from './discover-unit.ts';
import type { Operation } from './operation.ts';
import { QueryOperations } from './query-operations.ts';
import { ScsiRequests, type ScsiWorkContext } from './scsi-requests.ts';
import { TaskOperations } from './task-operations.ts';
import type { UnitModel } from './unit-model.ts';
import { unitModels, type ScsiWorkOptions } from './unit-models.ts';

/** The options of the workload `mixed`. */
export interface MixedOptions extends ScsiWorkOptions {
  /** The part of the requests that read, 0 to 1. */
  readonly reads: number;
  /** The part that unmaps, or fills with one block. */
  readonly unmaps: number;
  /** The part that asks: inquiry, capacity, units, and what is refused. */
  readonly queries: number;
  /** The part that is task management. */
  readonly tasks: number;
}

/** Draws after which a request that finds each cell busy waits for the next round. */
const MOST_DRAWS = 8;
/** How long an answer waits for an event that explains it, and in how many rounds. */
const EVENT_MS = 500;
const EVENT_TURNS = 40;
/** How often a unit is asked whether it is there, while events about it come. */
const MOST_QUESTIONS = 8;

/**
 * Random commands of all kinds on all disks of a host against a model of each, with task management in between, and
 * with whatever events tell: disks that come and go, and change their size. No cell has a command that changes it and
 * another one in flight at once, since the device may execute them in any order. An aborted command leaves its cell
 * unknown until it is read.
 */
export class MixedWork implements Workload {
  readonly #context: ScsiWorkContext<MixedOptions>;
  readonly #units: readonly UnitModel[];
  readonly #requests: ScsiRequests;
  readonly #queries: QueryOperations;
  readonly #tasks: TaskOperations;
  readonly #random: Random;
  /** Units to be looked at: those that appeared, or changed. */
  readonly #changed = new Set<UnitModel>();
  /** Units of which events may be lost, and which were not asked since. */
  readonly #missed = new Set<UnitModel>();
  /** The one of them that is being asked. */
  #asked: UnitModel | undefined;
  #round = 0;

  /** Throws {@link DeviceError} as `unitModels` does. */
  constructor(driver: ScsiDriver, context: ScsiWorkContext<MixedOptions>) {
    const { memory, seed } = context;
    this.#context = context;
    this.#units = unitModels(driver, context);
    this.#random = new Random(seed);
    this.#requests = new ScsiRequests(driver, context, false, {
      heard: (event) => this.#hear(event),
      controlled: () => this.#tasks.collect(),
      recoverControls: (ids) => this.#tasks.recover(ids),
      missedEvents: () => this.#missEvents(),
    });
    this.#queries = new QueryOperations(this.#units, memory, this.#random);
    this.#tasks = new TaskOperations(driver, this.#requests, this.#units, this.#random);
  }

  get done(): WorkDone {
    return this.#requests.done;
  }

  async run(): Promise<void> {
    const requests = this.#requests;
    for (const unit of this.#units) if (unit.isPlugged) this.#changed.add(unit);
    await this.#lookAround();
    const { requests: all } = this.#context;
    let made = 0;
    while (requests.completed < all && (requests.isRight || this.#units.some(({ isUsable }) => isUsable))) {
      if (requests.submitAgain()) while (made < all && this.#make()) made++;
      await this.#turn();
      await this.#lookAround();
    }
    await this.#awaitEvents();
  }

  recover(queue: number, ids: readonly number[]): void {
    this.#requests.recover(queue, ids);
  }

  async #turn(): Promise<void> {
    this.#tasks.makeAgain();
    await this.#requests.turn();
    this.#tasks.checkAborted();
  }

  /** An answer may come before the event that explains it. */
  async #awaitEvents(): Promise<void> {
    const end = performance.now() + EVENT_MS;
    for (let turns = 0; this.#requests.suspects > 0 && turns < EVENT_TURNS && performance.now() < end; turns++)
      await this.#turn();
    this.#requests.accuse();
  }

  /** Looks at units that appeared or changed. */
  async #lookAround(): Promise<void> {
    const { memory } = this.#context;
    await this.#askMissed();
    for (const unit of this.#changed) {
      this.#changed.delete(unit);
      if (!unit.isPlugged) continue;
      const isFound = unit.isUsable
        ? await readCapacity(this.#requests, unit, memory)
        : await discoverUnit(this.#requests, unit, memory);
      if (!isFound) await this.#explainFailure(unit);
      await this.#askMissed();
    }
  }

  /** Asks units whether they are there, in place of the events that are lost. */
  async #askMissed(): Promise<void> {
    for (const unit of this.#missed) {
      let isThere = unit.isPlugged;
      this.#asked = unit;
      // An event that comes while a unit is asked is older or newer than the answer.
      for (let tries = 0; this.#missed.delete(unit) && tries < MOST_QUESTIONS; tries++)
        isThere = await isPresent(this.#requests, unit, this.#context.memory);
      this.#asked = undefined;
      unit.isChanging = false;
      unit.comesAndGoes ||= !isThere;
      this.#look(unit, isThere);
    }
  }

  /** A unit that cannot be used is gone, and an event is to say so. */
  async #explainFailure(unit: UnitModel): Promise<void> {
    const end = performance.now() + EVENT_MS;
    const isExplained = (): boolean => !unit.isPlugged || this.#changed.has(unit) || this.#missed.has(unit);
    for (let turns = 0; !isExplained() && turns < EVENT_TURNS && performance.now() < end; turns++) await this.#turn();
    if (isExplained()) return;
    this.#requests.accuse();
    this.#requests.note('status-error', `disk of target ${unit.target}, unit ${unit.lun}`, 'it cannot be used');
    unit.isUsable = unit.isPlugged = false;
  }

  /** Makes one request. Returns false where there is no room, or each cell that was drawn is busy. */
  #make(): boolean {
    const { reads, unmaps, queries, tasks } = this.#context.options;
    const unit = this.#random.pick(this.#units);
    const draw = this.#random.next() / 2 ** 32;
    if (draw < tasks && !this.#tasks.isBusy) return this.#tasks.make(unit);
    if (!unit.isPlugged || !unit.isUsable) return this.#requests.submit(this.#queries.probe(unit));
    if (draw < tasks + queries) return this.#requests.submit(this.#queries.make(unit));
    const kind = this.#random.next() / 2 ** 32;
    const place = this.#freeCell(unit, kind < reads);
    if (place === undefined || this.#requests.isFull) return false;
    const operation = this.#cellOperation(place, kind < reads, kind < reads + unmaps);
    if (this.#requests.submit(operation)) return true;
    operation.end?.('refused');
    return false;
  }

  #cellOperation(place: CellPlace, isRead: boolean, isUnmap: boolean): Operation {
    const { memory } = this.#context;
    const draw = this.#random.below(4);
    if (isRead) return readCell(place, memory, draw < 2);
    const round = this.#round++;
    if (!isUnmap) return writeCell(place, memory, round, draw < 2);
    return draw < 2 ? unmapCell(place, memory) : fillCell(place, memory, round, draw === 2);
  }

  /** A cell that may get such a request. */
  #freeCell(unit: UnitModel, isRead: boolean): CellPlace | undefined {
    for (let draws = 0; draws < MOST_DRAWS; draws++) {
      const cell = this.#random.below(unit.cells);
      if (unit.isFree(cell, isRead)) return { unit, cell };
    }
    return undefined;
  }

  #hear(given: ScsiEvent): void {
    const { event, reason, hasMissed } = given;
    if (event === undefined)
      return this.#requests.note('length', 'event', 'a buffer came back with less than an event');
    if (hasMissed) this.#missEvents();
    if (event === wire.VIRTIO_SCSI_T_NO_EVENT || event === wire.VIRTIO_SCSI_T_ASYNC_NOTIFY) return;
    const unit = this.#units.find(({ key }) => key === given.unit);
    const isKnown = unit !== undefined && this.#isKnown(event, reason);
    if (!isKnown) return this.#requests.note('unexpected', `event ${event}`, `reason ${reason}, unit ${given.unit}`);
    if (event === wire.VIRTIO_SCSI_T_PARAM_CHANGE) return this.#hearChange(unit, reason);
    if (reason === wire.VIRTIO_SCSI_EVT_RESET_HARD) {
      unit.expect(SENSE.RESET);
      this.#requests.explain(unit);
      return;
    }
    unit.comesAndGoes = true;
    if (this.#asked === unit) this.#missed.add(unit);
    this.#look(unit, reason === wire.VIRTIO_SCSI_EVT_RESET_RESCAN);
    for (const other of this.#units) {
      // QEMU's attention is one of the bus: the first command of any unit is told.
      other.expect(SENSE.LUNS_CHANGED);
      this.#requests.explainAttention(other);
    }
  }

  /** Events are lost: any unit may be gone, there, reset or of another size. */
  #missEvents(): void {
    for (const unit of this.#units) {
      unit.isChanging = true;
      unit.expect(SENSE.LUNS_CHANGED);
      unit.expect(SENSE.CAPACITY_CHANGED);
      if (unit.isResized) unit.forget();
      this.#look(unit, unit.isPlugged);
      this.#missed.add(unit);
    }
  }

  /** Whether a device that negotiated so may send such an event (section 5.6.6.3). */
  #isKnown(event: number, reason: number): boolean {
    const { accepted } = this.#context;
    if (event === wire.VIRTIO_SCSI_T_PARAM_CHANGE) return accepted.has(VIRTIO_SCSI_F_CHANGE);
    if (event !== wire.VIRTIO_SCSI_T_TRANSPORT_RESET) return false;
    if (reason === wire.VIRTIO_SCSI_EVT_RESET_HARD) return true;
    return reason <= wire.VIRTIO_SCSI_EVT_RESET_REMOVED && accepted.has(VIRTIO_SCSI_F_HOTPLUG);
  }

  #hearChange(unit: UnitModel, reason: number): void {
    // As sense data has it: UNIT ATTENTION, ASC, ASCQ.
    const attention = 0x06_0000 | ((reason & 0xff) << 8) | ((reason >> 8) & 0xff);
    unit.expect(attention);
    this.#requests.explain(unit);
    if (attention !== SENSE.CAPACITY_CHANGED) return;
    unit.isChanging = true;
    this.#changed.add(unit);
  }

  /** A unit is there, or gone; it is to be looked at, and what is in flight for it may come back in any way. */
  #look(unit: UnitModel, isPlugged: boolean): void {
    unit.isPlugged = isPlugged;
    unit.isUsable = false;
    unit.owesAttention = false;
    unit.expect(SENSE.RESET);
    this.#requests.explain(unit);
    if (isPlugged) this.#changed.add(unit);
  }
}
