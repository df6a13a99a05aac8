import type { Virtqueue } from '@virtio-platform/core/queue';
import {
  VIRTIO_SCSI_S_ABORTED,
  VIRTIO_SCSI_S_BAD_TARGET,
  VIRTIO_SCSI_S_BUSY,
  VIRTIO_SCSI_S_FAILURE,
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

/** The commands of a SCSI host. */
export class ScsiWork extends RequestWork<ScsiRequest> {
  readonly #driver: ScsiDriver;
  readonly #hear: (event: ScsiEvent) => void;
  /** By the id of a command. */
  readonly #requests: (ScsiRequest | undefined)[] = [];

  /** `hear` is called with each event of the host. */
  constructor(driver: ScsiDriver, maxQueued: number, hear: (event: ScsiEvent) => void) {
    super('scsi', maxQueued);
    this.#driver = driver;
    this.#hear = hear;
  }

  call(request: ScsiRequest): Promise<ScsiAnswer> {
    return this.add(request);
  }

  /** Events come unasked. */
  override wants({ index }: Virtqueue): boolean {
    return index === EVENT_QUEUE || this.awaited > 0;
  }

  protected override get isBusy(): boolean {
    return this.#driver.inFlight > 0;
  }

  protected override isSubmitted(request: ScsiRequest): boolean {
    return request.isSubmitted;
  }

  protected override submitPart(request: ScsiRequest): number {
    const { target, lun, cdb, dataOut, dataIn } = request;
    const id = this.#driver.command(target, lun, cdb, dataOut, dataIn);
    if (id < 0) return id;
    this.#requests[id] = request;
    request.isSubmitted = true;
    return 0;
  }

  protected override publish(): void {
    this.#driver.flush();
  }

  protected override collect(): number {
    const events = this.#driver.pollEvents();
    for (const event of events) this.#hear(event);
    let came = events.length;
    for (let count = this.#driver.poll(); count > 0; count = this.#driver.poll()) {
      came += count;
      for (let i = 0; i < count; i++) this.#complete(this.#driver.completedIds[i]!);
    }
    return came;
  }

  #complete(id: number): void {
    const request = this.#requests[id]!;
    this.#requests[id] = undefined;
    const result = this.#driver.result(id);
    this.#driver.give(id);
    if (result.response === VIRTIO_SCSI_S_OK && result.flaws === 0) request.answer = answerOf(result);
    else request.fail(errorOf(request, result));
    this.returned(request);
  }
}

/** `result` copied everything out of guest memory already. */
function answerOf({ status, senseCode, sense, residual, data }: ScsiResult): ScsiAnswer {
  return { status, senseCode, residual, sense: bufferOf(sense), data: bufferOf(data) };
}

function bufferOf({ buffer, byteOffset, length }: Uint8Array): Buffer {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a copy, which is not shared
  return Buffer.from(buffer as ArrayBuffer, byteOffset, length);
}

function errorOf({ target, lun, cdb }: ScsiRequest, { response, flaws }: ScsiResult): RequestError {
  const operation = `command 0x${cdb[0]!.toString(16)} of target ${target}, unit ${lun}`;
  const known = RESPONSES[response] ?? 'an unknown response';
  const statusName = response === VIRTIO_SCSI_S_OK && flaws !== 0 ? 'an answer that cannot be' : known;
  const hint = 'see whether the target and the unit are there, and what the back-end says';
  return new RequestError({ operation, status: response, statusName }, hint);
}
