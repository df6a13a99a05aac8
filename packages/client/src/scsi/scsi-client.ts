import { describeValue } from '@virtio-platform/core';
import type { ScsiDriver } from '@virtio-platform/device-scsi';
import { checkCount, checkData } from '../device/check-arguments.ts';
import { fitLoad } from '../device/fit-load.ts';
import { OpenedDevice, type WantedDevice } from '../device/open-device.ts';
import type { ProfileLike, RequestOptions } from '../device/open-options.ts';
import { RequestClient, type RequestClientOptions } from '../requests/request-client.ts';
import { DEFAULT_MAX_QUEUED } from '../requests/request-work.ts';
import { SCSI_TASKS, ScsiTask, type ScsiTaskAnswer, type ScsiTaskName } from './scsi-task.ts';
import { ScsiRequest, ScsiWork, type ScsiAnswer } from './scsi-work.ts';

/** How a SCSI host is opened. */
export interface ScsiOptions extends RequestClientOptions {
  /** Commands that the device has at once. 16 unless given. */
  readonly depth?: number | undefined;
  /** Most bytes of data of one command, both ways together. 64 KiB unless given; the device may allow less. */
  readonly dataBytes?: number | undefined;
}

/** The data of a command. */
export interface ScsiCommandOptions extends RequestOptions {
  /** What the unit gets; it has to stay as it is until the promise settles. */
  readonly dataOut?: Uint8Array | undefined;
  /** Most bytes that the unit gives. 0 unless given. */
  readonly dataIn?: number | undefined;
}

const WORKLOAD = { kind: 'mixed', requests: 1, depth: 1, blockSize: '4KiB' } as const;
const DEPTH = 16;
const DATA_BYTES = 0x1_0000;
const LONGEST_CDB = 32;

/** A SCSI host, as {@link openScsi} opens it. `unit` tells of units that come, go and change. */
export class ScsiClient extends RequestClient<ScsiRequest | ScsiTask> {
  readonly #driver: ScsiDriver;
  readonly #work: ScsiWork;

  /** Made by {@link openScsi}. */
  constructor(device: OpenedDevice, driver: ScsiDriver, maxQueued: number) {
    const work = new ScsiWork(driver, maxQueued, (event) => this.emit('unit', event));
    super('scsi', device, work);
    this.#driver = driver;
    this.#work = work;
  }

  /** Most bytes of data of one command, both ways together. */
  get maxBytes(): number {
    return this.#driver.maxBytes;
  }

  /**
   * Sends a command to a unit and resolves with its answer, also one that says CHECK CONDITION: `status` and
   * `senseCode` tell. Once `signal` is aborted, the unit is asked to end the command (ABORT TASK), and the promise
   * rejects when the command is back. Rejects with {@link RequestError} where the host could not have the unit execute
   * it, and with `RangeError` or `TypeError` for values that cannot be.
   */
  async command(
    target: number,
    lun: number,
    cdb: Uint8Array,
    { dataOut, dataIn = 0, signal }: ScsiCommandOptions = {},
  ): Promise<ScsiAnswer> {
    if (!(cdb instanceof Uint8Array)) throw new TypeError(`the command is ${typeof cdb}, not a Buffer or Uint8Array`);
    if (dataOut !== undefined) checkData(dataOut);
    if (cdb.length < 1 || cdb.length > LONGEST_CDB)
      throw new RangeError(`a command of ${cdb.length} bytes, and one has 1 to ${LONGEST_CDB}`);
    if (!Number.isSafeInteger(dataIn) || dataIn < 0) throw new RangeError(`${dataIn} bytes of data`);
    return await this.#work.call(new ScsiRequest(target, lun, cdb, { dataOut, dataIn }, signal));
  }

  /**
   * Has a target do a task management function for a unit, and resolves with what it answered. Commands that the
   * function ends reject. Rejects with {@link RequestError} where there is no such unit, and with `RangeError` or
   * `TypeError` for values that cannot be.
   */
  async manage(
    task: ScsiTaskName,
    target: number,
    lun: number,
    { signal }: RequestOptions = {},
  ): Promise<ScsiTaskAnswer> {
    if (!Object.hasOwn(SCSI_TASKS, task))
      throw new TypeError(`${describeValue(task)} is none of ${Object.keys(SCSI_TASKS).join(', ')}`);
    return await this.#work.manage(new ScsiTask(task, target, lun, signal));
  }
}

/**
 * Opens the SCSI host of a profile. Rejects with a coded error; then nothing stays. It keeps the process alive until it
 * is closed, as a socket does.
 */
export async function openScsi(profile: ProfileLike, options: ScsiOptions = {}): Promise<ScsiClient> {
  const { depth, dataBytes, maxQueued = DEFAULT_MAX_QUEUED } = options;
  checkCount('depth', depth);
  checkCount('dataBytes', dataBytes);
  checkCount('maxQueued', maxQueued);
  const load: WantedDevice['load'] = (queueSizes, memoryBytes) =>
    fitLoad(
      { depth, bytes: dataBytes, usualDepth: DEPTH, usualBytes: DATA_BYTES },
      Math.min(...queueSizes),
      memoryBytes,
    );
  const device = await OpenedDevice.open(profile, { name: 'scsi', id: 8, workload: WORKLOAD, load }, options);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the driver half of the type that was asked for
  return new ScsiClient(device, device.driver as ScsiDriver, maxQueued);
}
