import type { Mismatch, MismatchKind, WorkDone, WorkloadContext } from '@virtio-platform/core';
import { hexadecimal, MismatchLog } from '@virtio-platform/device-kit';
import { SCSI_CONTROL_QUEUE, SCSI_EVENT_QUEUE } from '../layout.ts';
import { UNIT_BUSY, type ScsiDriver } from '../driver/scsi-driver.ts';
import type { ScsiEvent } from '../driver/event-lane.ts';
import { REPORT_LUNS } from '../scsi-commands.ts';
import type { ScsiSettings } from '../scsi-settings.ts';
import { isExempt, judgeAnswer, type Judgement } from './judge-answer.ts';
import type { Operation, Pending } from './operation.ts';
import type { UnitModel } from './unit-model.ts';

/** What a workload over a SCSI host is made from. */
export type ScsiWorkContext<Options = unknown> = WorkloadContext<ScsiSettings, Options>;

/** How often a device may ask to make a command again. */
const MOST_TRIES = 1000;
/** Answers that wait for an event that explains them. */
const MOST_SUSPECTS = 1000;

/** An answer that is wrong unless an event of its unit explains it. */
interface Suspect {
  readonly unit: UnitModel;
  readonly operation: Operation;
  /** Whether it is a unit attention, which events of other units of the target explain too. */
  readonly isAttention: boolean;
  readonly note: () => void;
}

/** Whether the answer to a command tells of a unit: of its own, or of each in the list of its target. */
function isAbout({ unit, cdb, target }: Operation, of: UnitModel): boolean {
  return unit === of || (cdb[0] === REPORT_LUNS && target === of.target);
}

/** What the owner of the requests does with what is not an answer to a command. */
export interface ScsiRequestsOwner {
  /** An event came. */
  heard?(event: ScsiEvent): void;
  /** Control requests came back. Returns how many of them count among the requests of the profile. */
  controlled?(): number;
  /** A queue reset returned control requests with these ids. */
  recoverControls?(ids: readonly number[]): void;
  /** A queue reset took back the buffers of events, and with them the events that were in them. */
  missedEvents?(): void;
}

/**
 * Commands of a workload on all request queues: compares each answer, counts, and makes again what queue resets return
 * and what the device was too busy for. A workload chooses the commands.
 */
export class ScsiRequests {
  readonly driver: ScsiDriver;
  readonly #context: ScsiWorkContext;
  readonly #owner: ScsiRequestsOwner;
  /** Whether a command that was told a unit attention is made again: it was not executed. */
  readonly #repeatsAttentions: boolean;
  readonly #mismatches: MismatchLog;
  /** By id. */
  readonly #pending: (Pending | undefined)[] = [];
  /** To be made again. */
  readonly #again: Pending[] = [];
  #suspects: Suspect[] = [];
  #completed = 0;
  #bytes = 0;
  #repeated = 0;

  constructor(driver: ScsiDriver, context: ScsiWorkContext, repeatsAttentions: boolean, owner: ScsiRequestsOwner) {
    this.driver = driver;
    this.#context = context;
    this.#mismatches = new MismatchLog(context.loop);
    this.#repeatsAttentions = repeatsAttentions;
    this.#owner = owner;
  }

  get done(): WorkDone {
    const mismatches = this.#mismatches.report;
    return { requests: this.#completed, bytes: this.#bytes, repeated: this.#repeated, mismatches };
  }

  /** Requests that are complete. */
  get completed(): number {
    return this.#completed;
  }

  /** Whether no answer came back wrong. */
  get isRight(): boolean {
    return this.#mismatches.count === 0;
  }

  /** Answers that no event explained so far. */
  get suspects(): number {
    return this.#suspects.length;
  }

  /** Whether a command is in flight, or waits to be made again. */
  get isBusy(): boolean {
    return this.driver.inFlight > 0 || this.#again.length > 0;
  }

  /** Whether no command can be made before another one came back. */
  get isFull(): boolean {
    return this.#again.length > 0;
  }

  /** A command that is in flight. */
  pendingOf(id: number): Pending | undefined {
    return this.#pending[id];
  }

  /** The id of a command in flight for a unit; -1 where there is none. */
  idOf(unit: UnitModel): number {
    const isOf = ({ operation }: Pending): boolean => operation.unit === unit && operation.lun === unit.lun;
    return this.#pending.findIndex((pending) => pending !== undefined && isOf(pending));
  }

  /** What is in flight for a unit may end otherwise than its command alone would. */
  disturb(unit: UnitModel): void {
    this.#disturb((operation) => operation.unit === unit);
  }

  /** An event of a unit explains what its commands were answered. */
  explain(unit: UnitModel): void {
    this.#suspects = this.#suspects.filter(({ operation }) => !isAbout(operation, unit));
    this.#disturb((operation) => isAbout(operation, unit));
  }

  /** The event of another unit explains the unit attentions that commands of this one were told. */
  explainAttention(unit: UnitModel): void {
    this.#suspects = this.#suspects.filter((suspect) => suspect.unit !== unit || !suspect.isAttention);
  }

  /** Nothing explains what is left. */
  accuse(): void {
    for (const { note } of this.#suspects) note();
    this.#suspects = [];
  }

  /** Makes a command. Returns false where there is no room for it, or others are to be made again first. */
  submit(operation: Operation): boolean {
    if (!this.submitAgain()) return false;
    const { unit } = operation;
    // What is in flight may be told of a reset in place of this one.
    if (unit !== undefined && unit.inFlight > 0 && (unit.isTelling || unit.owesAttention)) return false;
    const isFirstAfterReset = unit?.owesAttention === true && unit.inFlight === 0 && !isExempt(operation);
    if (unit !== undefined) unit.isTelling = isFirstAfterReset;
    // Its answer may be on the way when another command is answered with what it left.
    unit?.told.add(operation.sense);
    return this.#submit({
      operation,
      isDisturbed: unit?.isUnsettled === true,
      isFirstAfterReset,
      mayBeExecuted: false,
      tries: 0,
    });
  }

  /** Makes commands again, as many as there is room for. Returns whether none is left. */
  submitAgain(): boolean {
    for (let next = this.#again.at(-1); next !== undefined; next = this.#again.at(-1)) {
      if (!this.#submit(next)) return false;
      this.#again.pop();
    }
    return true;
  }

  /** Ends a round: shows the commands to the device and takes back what came. Throws {@link DeviceError}. */
  async turn(): Promise<void> {
    const { driver } = this;
    const { loop } = this.#context;
    driver.publish();
    loop.disrupt(this.#completed);
    driver.notify();
    let progress = this.#owner.controlled === undefined ? 0 : this.#collectControls();
    progress += this.#collect();
    const events = driver.pollEvents();
    for (const event of events) this.#owner.heard?.(event);
    await loop.turn(progress + events.length, this.#completed);
  }

  /** Makes commands alone, and waits until they came back. */
  async finish(operations: readonly Operation[]): Promise<void> {
    for (let next = 0; next < operations.length || this.isBusy;) {
      while (next < operations.length && this.submit(operations[next]!)) next++;
      this.submitAgain();
      await this.turn();
    }
  }

  /** A queue reset returned the buffers with these ids. */
  recover(queue: number, ids: readonly number[]): void {
    const recovered = this.driver.recover(queue, ids);
    this.#repeated += recovered.length;
    if (queue === SCSI_CONTROL_QUEUE) return this.#owner.recoverControls?.(recovered);
    if (queue === SCSI_EVENT_QUEUE) return this.#owner.missedEvents?.();
    for (const id of recovered) {
      const pending = this.#pending[id]!;
      this.#release(id, pending);
      // Its answer may have been on the way: what it was told is told to no other command.
      pending.isDisturbed = pending.mayBeExecuted = true;
      if (pending.operation.unit !== undefined) pending.operation.unit.owesAttention = false;
      this.#again.push(pending);
    }
  }

  /** Notes a mismatch that is of no command. */
  note(kind: MismatchKind, what: string, detail: string): void {
    const place = { queue: SCSI_CONTROL_QUEUE, buffer: null, address: null, deviceAddress: null };
    const facts = { difference: null, status: null, used: null };
    this.#mismatches.note(kind, () => ({ request: this.#completed + 1, what, detail, ...place, ...facts }));
  }

  #disturb(isDisturbed: (operation: Operation) => boolean): void {
    for (const pending of [...this.#pending, ...this.#again])
      if (pending !== undefined && isDisturbed(pending.operation)) pending.isDisturbed = true;
  }

  /** Makes a command again. An earlier try may have been executed. */
  #submit(pending: Pending): boolean {
    const { operation } = pending;
    const { driver } = this;
    const id = driver.take();
    if (id < 0) return false;
    const { u8 } = this.#context.memory;
    const address = driver.dataAddress(id);
    if (operation.fill !== undefined) operation.fill(address);
    else u8.fill(0, address, address + operation.dataIn);
    const { target, lun, cdb, dataOut, dataIn } = operation;
    const reason = driver.submit(id, target, lun, cdb, dataOut, dataIn);
    if (reason < 0) {
      driver.give(id);
      if (driver.inFlight === 0 && reason !== UNIT_BUSY) this.#context.loop.failedToAdd(reason);
      return false;
    }
    this.#pending[id] = pending;
    if (operation.unit !== undefined) operation.unit.inFlight++;
    return true;
  }

  #release(id: number, { operation }: Pending): void {
    this.#pending[id] = undefined;
    if (operation.unit !== undefined) operation.unit.inFlight--;
    this.driver.give(id);
  }

  #collectControls(): number {
    const counted = this.#owner.controlled!();
    this.#completed += counted;
    return counted;
  }

  #collect(): number {
    const { driver } = this;
    const came = driver.poll();
    for (let i = 0; i < came; i++) {
      const id = driver.completedIds[i]!;
      const pending = this.#pending[id]!;
      const judgement = judgeAnswer(pending, driver, id);
      const isAgain = judgement.verdict === 'again' && pending.tries++ < MOST_TRIES;
      if (isAgain || (judgement.verdict === 'attention' && this.#repeatsAttentions)) {
        this.#release(id, pending);
        this.#again.push(pending);
        continue;
      }
      this.#end(id, pending, judgement);
      this.#release(id, pending);
    }
    return came;
  }

  #end(id: number, { operation, mayBeExecuted }: Pending, judgement: Judgement): void {
    const { verdict } = judgement;
    const outcome = judgement.outcome === 'refused' && mayBeExecuted ? 'unknown' : judgement.outcome;
    const { driver } = this;
    if (verdict === 'again') this.#note(id, operation, { ...judgement, kind: 'status-error', detail: 'it stays BUSY' });
    else if (verdict === 'wrong') this.#note(id, operation, judgement);
    else if (verdict === 'suspect') this.#suspect(id, operation, judgement);
    else if (outcome === 'executed' && operation.isCounted)
      this.#bytes += operation.dataIn + operation.dataOut - driver.residualOf(id);
    operation.end?.(outcome);
    if (operation.isCounted) this.#completed++;
  }

  /** Wrong at once where nothing can explain it: no settings name the unit, or too much waits. */
  #suspect(id: number, operation: Operation, judgement: Judgement): void {
    const { unit } = operation;
    if (unit === undefined || this.#suspects.length >= MOST_SUSPECTS) return this.#note(id, operation, judgement);
    const describe = this.#describe(id, operation, judgement);
    const isAttention = judgement.outcome === 'refused';
    this.#suspects.push({
      unit,
      operation,
      isAttention,
      note: () => this.#mismatches.note(judgement.kind!, () => describe),
    });
  }

  #note(id: number, operation: Operation, judgement: Judgement): void {
    this.#mismatches.note(judgement.kind!, () => this.#describe(id, operation, judgement));
  }

  #describe(id: number, operation: Operation, { detail = '', difference }: Judgement): Omit<Mismatch, 'kind'> {
    const { driver } = this;
    const { used, queue, buffer } = driver.placeOf(id);
    return {
      request: this.#completed + 1,
      what: `${operation.name} of target ${operation.target}, unit ${operation.lun}`,
      detail: `${detail}, used length ${used}`,
      queue,
      buffer,
      address: hexadecimal(driver.dataInAddress(id)),
      deviceAddress: null,
      difference: difference ?? null,
      status: driver.statusOf(id),
      used: null,
    };
  }
}
