import type { Virtqueue } from '@virtio-platform/core/queue';
import {
  VIRTIO_SCSI_S_ABORTED,
  VIRTIO_SCSI_S_BAD_TARGET,
  VIRTIO_SCSI_S_BUSY,
  VIRTIO_SCSI_S_FAILURE,
  VIRTIO_SCSI_S_FUNCTION_REJECTED,
  VIRTIO_SCSI_S_FUNCTION_SUCCEEDED,
  VIRTIO_SCSI_S_INCORRECT_LUN,
  VIRTIO_SCSI_S_NEXUS_FAILURE,
  VIRTIO_SCSI_S_OK,
  VIRTIO_SCSI_S_OVERRUN,
  VIRTIO_SCSI_S_RESET,
  VIRTIO_SCSI_S_TARGET_FAILURE,
  VIRTIO_SCSI_S_TRANSPORT_FAILURE,
  type ScsiDriver,
  type ScsiEvent,
  type ScsiResult,
} from '@virtio-platform/device-scsi';
import { RequestError } from '../client-error.ts';
import { ClientRequest } from '../requests/client-request.ts';
import { RequestWork } from '../requests/request-work.ts';
import { SCSI_TASKS, ScsiTask, type ScsiTaskAnswer } from './scsi-task.ts';

/** The index of the queue for task management. */
const CONTROL_QUEUE = 0;
/** The index of the queue on which events come. */
const EVENT_QUEUE = 1;

const RESPONSES: Readonly<Record<number, string>> = {
  [VIRTIO_SCSI_S_OVERRUN]: 'OVERRUN',
  [VIRTIO_SCSI_S_ABORTED]: 'ABORTED',
  [VIRTIO_SCSI_S_BAD_TARGET]: 'BAD_TARGET',
  [VIRTIO_SCSI_S_RESET]: 'RESET',
  [VIRTIO_SCSI_S_BUSY]: 'BUSY',
  [VIRTIO_SCSI_S_TRANSPORT_FAILURE]: 'TRANSPORT_FAILURE',
  [VIRTIO_SCSI_S_TARGET_FAILURE]: 'TARGET_FAILURE',
  [VIRTIO_SCSI_S_NEXUS_FAILURE]: 'NEXUS_FAILURE',
  [VIRTIO_SCSI_S_FAILURE]: 'FAILURE',
  [VIRTIO_SCSI_S_INCORRECT_LUN]: 'INCORRECT_LUN',
};

/** What a unit answered to a command. */
export interface ScsiAnswer {
  /** The status of the command: 0 for GOOD, 2 for CHECK CONDITION. */
  readonly status: number;
  /** The sense code, as `describeSense` of `@virtio-platform/device-scsi` reads it: 0 without, -1 for what is none. */
  readonly senseCode: number;
  /** Sense data, as the unit gave it. */
  readonly sense: Buffer;
  /** Bytes of data that were not moved. */
  readonly residual: number;
  /** What the unit gave, without what was not moved. */
  readonly data: Buffer;
}

/** A command for a unit. */
export class ScsiRequest extends ClientRequest<ScsiAnswer> {
  readonly target: number;
  readonly lun: number;
  readonly cdb: Uint8Array;
  readonly dataOut: Uint8Array | undefined;
  readonly dataIn: number;
  isSubmitted = false;
  /** The id of the command while the device has it; -1 otherwise. */
  id = -1;
  answer: ScsiAnswer | undefined;

  constructor(
    target: number,
    lun: number,
    cdb: Uint8Array,
    data: { readonly dataOut?: Uint8Array | undefined; readonly dataIn: number },
    signal: AbortSignal | undefined,
  ) {
    super(signal);
    this.target = target;
    this.lun = lun;
    this.cdb = cdb;
    this.dataOut = data.dataOut;
    this.dataIn = data.dataIn;
  }

  protected override result(): ScsiAnswer {
    return this.answer!;
  }
}

/** The commands and task management requests of a SCSI host. */
export class ScsiWork extends RequestWork<ScsiRequest | ScsiTask> {
  readonly #driver: ScsiDriver;
  readonly #hear: (event: ScsiEvent) => void;
  /** By the id of a command. */
  readonly #requests: (ScsiRequest | undefined)[] = [];
  /** By the id of a control request: `undefined` for one that no program waits for. */
  readonly #tasks = new Map<number, ScsiTask | undefined>();
  /** Commands that the device has, and that the program no longer wants. */
  readonly #unwanted = new Set<ScsiRequest>();

  /** `hear` is called with each event of the host. */
  constructor(driver: ScsiDriver, maxQueued: number, hear: (event: ScsiEvent) => void) {
    super('scsi', maxQueued);
    this.#driver = driver;
    this.#hear = hear;
  }

  call(request: ScsiRequest): Promise<ScsiAnswer> {
    return this.add(request);
  }

  manage(task: ScsiTask): Promise<ScsiTaskAnswer> {
    return this.add(task);
  }

  /** Events come unasked. */
  override wants({ index }: Virtqueue): boolean {
    if (index === CONTROL_QUEUE) return this.#tasks.size > 0;
    return index === EVENT_QUEUE || this.awaited > 0;
  }

  /** The unit is asked to end a command that the program no longer wants: it may be one that never ends by itself. */
  protected override abandon(request: ScsiRequest | ScsiTask): void {
    if (request instanceof ScsiRequest) this.#unwanted.add(request);
  }

  protected override get isBusy(): boolean {
    return this.#driver.inFlight > 0 || this.#tasks.size > 0;
  }

  protected override isSubmitted(request: ScsiRequest | ScsiTask): boolean {
    return request.isSubmitted;
  }

  protected override submitPart(request: ScsiRequest | ScsiTask): number {
    const { target, lun } = request;
    const isTask = request instanceof ScsiTask;
    const id = isTask
      ? this.#driver.manage(SCSI_TASKS[request.name], target, lun)
      : this.#driver.command(target, lun, request.cdb, request.dataOut, request.dataIn);
    if (id < 0) return id;
    if (isTask) this.#tasks.set(id, request);
    else {
      this.#requests[id] = request;
      request.id = id;
    }
    request.isSubmitted = true;
    return 0;
  }

  protected override publish(): void {
    this.#driver.flush();
  }

  protected override collect(): number {
    const events = this.#driver.pollEvents();
    for (const event of events) this.#hear(event);
    let came = events.length + this.#collectTasks();
    for (let count = this.#driver.poll(); count > 0; count = this.#driver.poll()) {
      came += count;
      for (let i = 0; i < count; i++) this.#complete(this.#driver.completedIds[i]!);
    }
    return came + this.#endUnwanted();
  }

  #collectTasks(): number {
    const count = this.#driver.pollControls();
    for (let i = 0; i < count; i++) {
      const id = this.#driver.completedControls[i]!;
      const response = this.#driver.controlResponse(id);
      this.#driver.giveControl(id);
      const task = this.#tasks.get(id);
      this.#tasks.delete(id);
      if (task === undefined) continue;
      if (response === VIRTIO_SCSI_S_FUNCTION_SUCCEEDED) task.answer = 'found';
      else if (response === VIRTIO_SCSI_S_FUNCTION_REJECTED) task.answer = 'rejected';
      else if (response !== VIRTIO_SCSI_S_OK) task.fail(errorOf(`${task.name} of ${unitOf(task)}`, response, 0));
      this.returned(task);
    }
    return count;
  }

  /** Has the unit end what no program wants. Returns how many it was asked for. */
  #endUnwanted(): number {
    let asked = 0;
    for (const request of this.#unwanted) {
      const control = this.#driver.abort(request.id);
      if (control < 0) break;
      this.#unwanted.delete(request);
      this.#tasks.set(control, undefined);
      asked++;
    }
    return asked;
  }

  #complete(id: number): void {
    const request = this.#requests[id]!;
    this.#requests[id] = undefined;
    this.#unwanted.delete(request);
    const result = this.#driver.result(id);
    this.#driver.give(id);
    if (result.response === VIRTIO_SCSI_S_OK && result.flaws === 0) request.answer = answerOf(result);
    else {
      const operation = `command 0x${request.cdb[0]!.toString(16)} of ${unitOf(request)}`;
      request.fail(errorOf(operation, result.response, result.flaws));
    }
    this.returned(request);
  }
}

function unitOf({ target, lun }: { readonly target: number; readonly lun: number }): string {
  return `target ${target}, unit ${lun}`;
}

/** `result` copied everything out of guest memory already. */
function answerOf({ status, senseCode, sense, residual, data }: ScsiResult): ScsiAnswer {
  return { status, senseCode, residual, sense: bufferOf(sense), data: bufferOf(data) };
}

function bufferOf({ buffer, byteOffset, length }: Uint8Array): Buffer {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a copy, which is not shared
  return Buffer.from(buffer as ArrayBuffer, byteOffset, length);
}

function errorOf(operation: string, response: number, flaws: number): RequestError {
  const known = RESPONSES[response] ?? 'an unknown response';
  const statusName = response === VIRTIO_SCSI_S_OK && flaws !== 0 ? 'an answer that cannot be' : known;
  const hint = 'see whether the target and the unit are there, and what the back-end says';
  return new RequestError({ operation, status: response, statusName }, hint);
}
