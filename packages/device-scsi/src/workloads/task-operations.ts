import type { Random } from '@virtio-platform/device-kit';
import type { ScsiDriver } from '../driver/scsi-driver.ts';
import * as wire from '../layout.ts';
import { SENSE } from '../scsi-sense.ts';
import type { Pending } from './operation.ts';
import type { ScsiRequests } from './scsi-requests.ts';
import type { UnitModel } from './unit-model.ts';

/** Asynchronous notifications of SCSI MMC, all that there are. Section 5.6.6.2. */
const ALL_NOTIFICATIONS = 0x7e;

/** A control request at work. */
interface Task {
  readonly name: string;
  readonly submit: () => number;
  /** Responses that are right. */
  readonly allowed: readonly number[];
  /** Units whose commands it may end. */
  readonly disturbs?: readonly UnitModel[];
  /** Whether it resets these units. */
  readonly isReset?: boolean;
  /** A command that a query found, or that an abort has to end. */
  readonly command?: Pending | undefined;
  /** The unit whose events may change the response. */
  readonly unit: UnitModel | undefined;
  /** Called with the response, and the id of the control request. */
  readonly end?: (response: number, id: number) => void;
  /** Whether it names a command by its id, which another command has after a queue reset. */
  readonly namesCommand?: boolean;
}

/**
 * Task management and notification requests of a workload, one at a time, with what their answers have to be: after a
 * reset the next command is told of it, and a command that the device has, and was told to abort, comes back first.
 */
export class TaskOperations {
  readonly #driver: ScsiDriver;
  readonly #requests: ScsiRequests;
  readonly #units: readonly UnitModel[];
  readonly #random: Random;
  #task: Task | undefined;
  #id = -1;
  /** An id whose command the device has, as a query said, and the command. */
  #found: { readonly id: number; readonly command: Pending } | undefined;
  /** A command that has to be back with the answer to its abort. */
  #aborted: { readonly id: number; readonly command: Pending } | undefined;

  constructor(driver: ScsiDriver, requests: ScsiRequests, units: readonly UnitModel[], random: Random) {
    this.#driver = driver;
    this.#requests = requests;
    this.#units = units;
    this.#random = random;
  }

  /** Whether a request is in flight, or waits to be made again. */
  get isBusy(): boolean {
    return this.#task !== undefined;
  }

  /** Makes a request for a unit. Returns false where there is no room for one. */
  make(unit: UnitModel): boolean {
    this.#task = this.#next(unit);
    this.#begin();
    if (this.#id >= 0) return true;
    this.#task = undefined;
    return false;
  }

  /** Makes the request again that a queue reset returned. */
  makeAgain(): void {
    if (this.#task !== undefined && this.#id < 0) this.#begin();
  }

  /** Takes back the request. Returns how many came. */
  collect(): number {
    const came = this.#driver.pollControls();
    for (let i = 0; i < came; i++) {
      const id = this.#driver.completedControls[i]!;
      this.#end(this.#driver.controlResponse(id));
      this.#driver.giveControl(id);
    }
    return came;
  }

  /** Notes an aborted command that is not back although its abort is. Called after commands were collected. */
  checkAborted(): void {
    const aborted = this.#aborted;
    this.#aborted = undefined;
    if (aborted === undefined || this.#requests.pendingOf(aborted.id) !== aborted.command) return;
    const detail = 'the device answered that the task is aborted, and has it still (5.6.6.2)';
    this.#requests.note('lost', `ABORT TASK of ${aborted.command.operation.name}`, detail);
  }

  /** A queue reset returned the request with this id. A task that it named may be over since. */
  recover(ids: readonly number[]): void {
    for (const id of ids) this.#driver.giveControl(id);
    this.#id = -1;
    this.#found = undefined;
    const task = this.#task;
    for (const unit of task?.disturbs ?? []) this.#requests.disturb(unit);
    if (task?.namesCommand === true && task.unit !== undefined)
      this.#task = this.#ofUnit('QUERY TASK SET', wire.VIRTIO_SCSI_T_TMF_QUERY_TASK_SET, task.unit, FOUND_OR_NOT);
  }

  #begin(): void {
    const task = this.#task!;
    this.#id = task.submit();
    if (this.#id < 0) return;
    for (const unit of task.disturbs ?? []) {
      unit.isManaged = true;
      unit.wasTold = false;
      if (task.isReset === true) unit.expect(SENSE.RESET);
      this.#requests.disturb(unit);
    }
    if (task.command !== undefined) task.command.isDisturbed = true;
  }

  #end(response: number): void {
    const task = this.#task!;
    const id = this.#id;
    this.#task = undefined;
    this.#id = -1;
    for (const unit of task.disturbs ?? []) {
      unit.isManaged = false;
      if (task.isReset === true && response === wire.VIRTIO_SCSI_S_OK && unit.isPlugged && !unit.isSilent) {
        unit.expect(SENSE.RESET);
        unit.owesAttention = !unit.wasTold;
      }
    }
    task.end?.(response, id);
    const isGone = response === wire.VIRTIO_SCSI_S_BAD_TARGET || response === wire.VIRTIO_SCSI_S_INCORRECT_LUN;
    if (task.allowed.includes(response) || (isGone && this.#mayBeGone(task))) return;
    const kind = response > wire.VIRTIO_SCSI_S_INCORRECT_LUN ? 'status-missing' : 'status-error';
    this.#requests.note(kind, task.name, `the device answered ${wire.describeResponse(response)}`);
  }

  /** Whether the unit is gone, comes and goes, or may be gone by an event that is lost. */
  #mayBeGone({ unit }: Task): boolean {
    return unit !== undefined && (!unit.isPlugged || unit.comesAndGoes || unit.isChanging);
  }

  #next(unit: UnitModel): Task {
    const found = this.#found;
    this.#found = undefined;
    if (found !== undefined && this.#requests.pendingOf(found.id) === found.command) return this.#abort(found);
    const id = this.#requests.idOf(unit);
    const command = this.#requests.pendingOf(id);
    if (command !== undefined && this.#random.chance(50)) return this.#query(unit, id, command);
    return this.#random.pick(this.#kinds(unit))();
  }

  #kinds(unit: UnitModel): readonly (() => Task)[] {
    const all = [wire.VIRTIO_SCSI_S_OK];
    return [
      () => this.#reset('LOGICAL UNIT RESET', wire.VIRTIO_SCSI_T_TMF_LOGICAL_UNIT_RESET, unit, [unit]),
      () =>
        this.#reset(
          'I_T NEXUS RESET',
          wire.VIRTIO_SCSI_T_TMF_I_T_NEXUS_RESET,
          unit,
          this.#units.filter(({ target }) => target === unit.target),
        ),
      () => this.#abortSet('ABORT TASK SET', wire.VIRTIO_SCSI_T_TMF_ABORT_TASK_SET, unit),
      () => this.#abortSet('CLEAR TASK SET', wire.VIRTIO_SCSI_T_TMF_CLEAR_TASK_SET, unit),
      () => this.#ofUnit('QUERY TASK SET', wire.VIRTIO_SCSI_T_TMF_QUERY_TASK_SET, unit, FOUND_OR_NOT),
      () =>
        this.#ofUnit('CLEAR ACA', wire.VIRTIO_SCSI_T_TMF_CLEAR_ACA, unit, [
          ...all,
          wire.VIRTIO_SCSI_S_FUNCTION_REJECTED,
        ]),
      () => this.#ofNone(unit.target, [wire.VIRTIO_SCSI_S_INCORRECT_LUN]),
      () => this.#ofNone(this.#absentTarget(), [wire.VIRTIO_SCSI_S_BAD_TARGET]),
      () => this.#notifications(unit, false),
      () => this.#notifications(unit, true),
    ];
  }

  #query(unit: UnitModel, id: number, command: Pending): Task {
    return {
      name: `QUERY TASK of ${command.operation.name}`,
      submit: () => (this.#driver.isInFlight(id) ? this.#driver.queryTask(id) : -1),
      allowed: FOUND_OR_NOT,
      unit,
      namesCommand: true,
      end: (response) => {
        if (response === wire.VIRTIO_SCSI_S_FUNCTION_SUCCEEDED) this.#found = { id, command };
      },
    };
  }

  #abort({ id, command }: { readonly id: number; readonly command: Pending }): Task {
    return {
      name: `ABORT TASK of ${command.operation.name}`,
      submit: () => this.#driver.abort(id),
      allowed: [wire.VIRTIO_SCSI_S_OK],
      command,
      unit: command.operation.unit,
      namesCommand: true,
      end: (response) => {
        if (response === wire.VIRTIO_SCSI_S_OK) this.#aborted = { id, command };
      },
    };
  }

  #ofUnit(name: string, subtype: number, unit: UnitModel, allowed: readonly number[]): Task {
    return { name, submit: () => this.#driver.manage(subtype, unit.target, unit.lun), allowed, unit };
  }

  #abortSet(name: string, subtype: number, unit: UnitModel): Task {
    return { ...this.#ofUnit(name, subtype, unit, [wire.VIRTIO_SCSI_S_OK]), disturbs: [unit] };
  }

  #reset(name: string, subtype: number, unit: UnitModel, disturbs: readonly UnitModel[]): Task {
    return { ...this.#ofUnit(name, subtype, unit, [wire.VIRTIO_SCSI_S_OK]), disturbs, isReset: true };
  }

  #ofNone(target: number, allowed: readonly number[]): Task {
    const used = new Set(this.#units.filter((unit) => unit.target === target).map(({ lun }) => lun));
    let lun = this.#random.below(wire.SCSI_MAX_LUN);
    while (used.has(lun)) lun++;
    const submit = (): number => this.#driver.manage(wire.VIRTIO_SCSI_T_TMF_QUERY_TASK_SET, target, lun);
    const unit = this.#units.find((candidate) => candidate.target === target);
    return { name: `QUERY TASK SET of no unit ${lun} of target ${target}`, submit, allowed, unit };
  }

  #absentTarget(): number {
    const used = new Set(this.#units.map(({ target }) => target));
    for (let target = wire.SCSI_MAX_TARGET; target >= 0; target--) if (!used.has(target)) return target;
    return wire.SCSI_MAX_TARGET;
  }

  #notifications(unit: UnitModel, isSubscription: boolean): Task {
    const { target, lun } = unit;
    const submit = (): number =>
      isSubscription
        ? this.#driver.subscribe(target, lun, ALL_NOTIFICATIONS)
        : this.#driver.queryNotifications(target, lun, ALL_NOTIFICATIONS);
    const name = isSubscription ? 'asynchronous notification subscription' : 'asynchronous notification query';
    const end = (_response: number, id: number): void => {
      const actual = this.#driver.controlEvents(id);
      if ((actual & ~ALL_NOTIFICATIONS) === 0) return;
      this.#requests.note('data', name, `the device reports events 0x${actual.toString(16)}, which were not asked for`);
    };
    return { name, submit, allowed: [wire.VIRTIO_SCSI_S_OK], unit, end };
  }
}

const FOUND_OR_NOT: readonly number[] = [wire.VIRTIO_SCSI_S_OK, wire.VIRTIO_SCSI_S_FUNCTION_SUCCEEDED];
