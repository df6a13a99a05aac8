import type { Worker } from 'node:worker_threads';
import {
  CodedError,
  ContractError,
  DeviceError,
  describeError,
  isCodedError,
  openModel,
  settingsWithoutPaths,
  type DeviceTypePlugin,
  type NotificationCounts,
} from '@virtio-platform/core';
import type { AddressSpaceBlueprint, FaultLog } from '@virtio-platform/core/address-space';
import type { DeviceInterface, Transport, WaitResult } from '@virtio-platform/core/device';
import { FeatureSet, VIRTIO_F_NOTIFICATION_DATA, VIRTIO_F_RING_RESET } from '@virtio-platform/core/features';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { legacyAddresses, notificationValue, type QueueAddresses } from '@virtio-platform/core/queue';
import { offeredFeatures, type DeviceSetup } from './device-setup.ts';
import type { DeviceWorkerData, DeviceWorkerFailure, DeviceWorkerReady } from './device-worker.ts';
import { exitReportFromJson } from './fault-records.ts';
import { Command, LOADS_DEVICE_TYPE, Mailbox, readFeatureWords, writeFeatureWords } from './mailbox.ts';
import { startWorker } from './start-worker.ts';
import { thrownOf } from './thrown-record.ts';

/** How long the device's thread may take to start. */
const START_TIMEOUT_MS = 30_000;
/** The exit code of a thread whose module awaits what never settles, as Node has it. */
const UNSETTLED_AWAIT = 13;
/** How long the device's thread may take for one command. */
const COMMAND_TIMEOUT_MS = 5000;
/** The end of a thread whose device is gone on purpose. */
const STOPPED = 'ended, after an access was stopped or on purpose';

/** The transport to a device in a worker thread. The memory is shared; registers go through a {@link Mailbox}. */
export class WorkerTransport implements Transport {
  readonly interface: DeviceInterface;
  readonly deviceId: number;
  readonly carries: FeatureSet;
  readonly queueCount: number;
  readonly #mailbox: Mailbox;
  readonly #faults: FaultLog;
  readonly #worker: Worker;
  /** By index, as long as the queue is enabled: what names it in notifications. */
  readonly #identities: number[] = [];
  #accepted = FeatureSet.EMPTY;
  #interrupts = 0;
  /** The configuration change notifications that the driver asked for. */
  #configChanges = 0;
  #isLost = false;
  #listener: (() => void) | undefined;
  /** Why the device's thread ended, as far as that is known. */
  #end: string | undefined;
  #thrown: { readonly thrown: unknown } | undefined;
  #notifications: NotificationCounts = { needed: 0, received: 0, missed: 0, spurious: 0 };

  /** Owns `worker`, which runs and answered `ready`. */
  constructor(worker: Worker, mailbox: Mailbox, faults: FaultLog, setup: DeviceSetup, ready: DeviceWorkerReady) {
    this.#worker = worker;
    this.#mailbox = mailbox;
    this.#faults = faults;
    this.interface = setup.interface;
    this.carries = new FeatureSet(setup.carries);
    this.deviceId = ready.deviceId;
    this.queueCount = ready.queueCount;
    worker.on('error', (thrown) => {
      this.#end ??= `failed: ${describeError(thrown)}`;
      this.#thrown ??= { thrown };
    });
    worker.on('exit', (code) => {
      this.#end ??= `ended with exit code ${code}`;
      this.#listener?.();
    });
  }

  /** What the device counted of the driver's notifications, or had when it was asked last before it was gone. */
  get notifications(): NotificationCounts {
    if (!this.#isLost && !this.#mailbox.isGone && this.#mailbox.ask(Command.ReadNotifications, COMMAND_TIMEOUT_MS)) {
      const [needed = 0, received = 0, missed = 0, spurious = 0] = this.#mailbox.words;
      this.#notifications = { needed, received, missed, spurious };
    }
    return this.#notifications;
  }

  readDeviceFeatures(): FeatureSet {
    this.#ask(Command.ReadFeatures);
    return readFeatureWords(this.#mailbox.words);
  }

  writeDriverFeatures(features: FeatureSet): void {
    writeFeatureWords(features, this.#mailbox.words);
    this.#ask(Command.WriteFeatures);
    this.#accepted = features;
  }

  /** See `BootedMachine.deviceError`. Asks the thread, as long as it answers. */
  get deviceError(): { readonly thrown: unknown } | undefined {
    const isThere = !this.#isLost && this.#end === undefined && !this.#mailbox.isGone;
    if (isThere && this.#mailbox.ask(Command.ReadFaults, COMMAND_TIMEOUT_MS)) this.#recordAnswer();
    return this.#thrown;
  }

  readStatus(): number {
    this.#ask(Command.ReadStatus);
    const status = this.#mailbox.words[0]!;
    this.#collectFaults();
    return status;
  }

  writeStatus(status: number): void {
    this.#mailbox.words[0] = status;
    this.#ask(Command.WriteStatus);
    if (status === 0) this.#configChanges = this.#mailbox.configChanges;
  }

  maxQueueSize(queue: number): number {
    return this.#askAbout(Command.MaxQueueSize, queue);
  }

  enableQueue(queue: number, addresses: QueueAddresses): void {
    const { size, words } = this.interface === 'legacy' ? legacyAddresses(addresses) : addresses;
    this.#mailbox.words[0] = queue;
    this.#mailbox.words[1] = size;
    this.#mailbox.words.set(words, 2);
    this.#ask(Command.EnableQueue);
    this.#identities[queue] = this.#askAbout(Command.NotificationIdentity, queue);
  }

  resetQueue(queue: number): void {
    if (!this.#accepted.has(VIRTIO_F_RING_RESET)) throw new TypeError('RING_RESET was not negotiated');
    this.#askAbout(Command.ResetQueue, queue);
  }

  isQueueReset(queue: number): boolean {
    return this.#askAbout(Command.IsQueueReset, queue) === 1;
  }

  notify(queue: number, next: number): void {
    const identity = this.#identities[queue];
    if (identity === undefined) return;
    this.#mailbox.ring(queue, notificationValue(identity, next, this.#accepted.has(VIRTIO_F_NOTIFICATION_DATA)));
  }

  wait(timeoutMs: number): WaitResult {
    if (this.#isLost || this.#end !== undefined) return this.#lose();
    const interrupts = this.#mailbox.waitForInterrupt(this.#interrupts, timeoutMs);
    if (this.#mailbox.isGone) return this.#lose();
    if (interrupts === this.#interrupts) return 'timeout';
    this.#interrupts = interrupts;
    return 'notified';
  }

  watch(listener: () => void): void {
    this.#listener = listener;
    // Nothing of a transport that is watched keeps the process alive.
    this.#worker.unref();
    void this.#watchInterrupts(listener);
  }

  takeConfigChange(): boolean {
    const changes = this.#mailbox.configChanges;
    const isChanged = changes !== this.#configChanges;
    this.#configChanges = changes;
    return isChanged;
  }

  configGeneration(): number {
    return this.interface === 'legacy' ? 0 : this.#mailbox.configGeneration;
  }

  readConfig(offset: number, target: Uint8Array): void {
    this.#mailbox.words[0] = offset;
    this.#mailbox.words[1] = target.length;
    this.#ask(Command.ReadConfig);
    target.set(this.#mailbox.data.subarray(0, target.length));
  }

  writeConfig(offset: number, source: Uint8Array): void {
    this.#mailbox.words[0] = offset;
    this.#mailbox.words[1] = source.length;
    this.#mailbox.data.set(source);
    this.#ask(Command.WriteConfig);
  }

  /** Asks the thread to end. {@link ended} tells when it did. */
  dispose(): void {
    this.#listener = undefined;
    this.#mailbox.endWaits();
    if (this.#isLost) return;
    this.#isLost = true;
    if (this.#end === undefined) this.#mailbox.ask(Command.Exit, COMMAND_TIMEOUT_MS);
  }

  /** Ends the thread, also one that no longer answers. Rejects with what the device half threw as it was disposed. */
  async ended(): Promise<void> {
    const wasThere = !this.#isLost && !this.#mailbox.isGone;
    const before = this.#thrown;
    this.dispose();
    this.#worker.ref();
    await this.#worker.terminate();
    if (!wasThere || !this.#mailbox.isGone) return;
    this.#record(this.#mailbox.exitReport);
    if (before === undefined && this.#thrown !== undefined) throw this.#thrown.thrown;
  }

  #ask(command: Command): void {
    if (!this.#isLost && this.#end === undefined && this.#mailbox.ask(command, COMMAND_TIMEOUT_MS)) return;
    this.#lose();
    this.#end ??= this.#mailbox.isGone ? STOPPED : `did not answer in ${COMMAND_TIMEOUT_MS} ms`;
    const hint =
      this.#end === STOPPED
        ? 'look at the faults of the report, machine.onFault and device.misbehaves.dies'
        : 'machine.device: same-thread shows the same device with its whole stack';
    throw new DeviceError('ERR_DEVICE_LOST', `the device's thread ${this.#end}`, { hint });
  }

  async #watchInterrupts(listener: () => void): Promise<void> {
    for (let seen = this.#interrupts; ;) {
      seen = await this.#mailbox.interrupted(seen);
      if (this.#listener === undefined) return;
      listener();
      if (this.#mailbox.isGone) return;
    }
  }

  /** The device is gone; what it recorded is still there. */
  #lose(): 'lost' {
    if (!this.#isLost && this.#mailbox.isGone) {
      const error = this.#record(this.#mailbox.exitReport);
      if (error !== undefined) this.#end = `failed: ${error}`;
    }
    this.#isLost = true;
    return 'lost';
  }

  /** A command about one queue, with the word that it answers. */
  #askAbout(command: Command, queue: number): number {
    this.#mailbox.words[0] = queue;
    this.#ask(command);
    return this.#mailbox.words[0];
  }

  #collectFaults(): void {
    if (this.#mailbox.faultCount === this.#faults.count) return;
    this.#ask(Command.ReadFaults);
    this.#recordAnswer();
  }

  #recordAnswer(): void {
    this.#record(new TextDecoder().decode(this.#mailbox.data.slice(0, this.#mailbox.words[0])));
  }

  /** Records the faults that are new. Returns the error that ended the thread, if one did. */
  #record(json: string): string | undefined {
    const { faults, error, thrown } = exitReportFromJson(json);
    if (thrown !== undefined) this.#thrown ??= { thrown: thrownOf(thrown) };
    for (const fault of faults.slice(this.#faults.count)) this.#faults.record(fault);
    return error;
  }
}

/**
 * Starts the device's thread. Rejects with a coded error when the device cannot be made there; then no thread is left.
 */
export async function openWorkerTransport(
  memory: GuestMemory,
  faults: FaultLog,
  type: DeviceTypePlugin,
  setup: DeviceSetup,
  bind: (offers: FeatureSet) => AddressSpaceBlueprint,
): Promise<WorkerTransport> {
  const blueprint = bind(offersOf(type, setup));
  if (blueprint.module === undefined) {
    throw new CodedError('ERR_PLUGIN_FACILITY', "the platform's address space cannot be opened in another thread", {
      hint: 'set machine.device: same-thread, or give the blueprint a `module`',
    });
  }
  const mailbox = new Mailbox();
  const workerData: DeviceWorkerData = {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the machine made it
    memory: memory.buffer as SharedArrayBuffer,
    mailbox: mailbox.buffer,
    setup,
    addressSpace: { module: blueprint.module, state: blueprint.state },
  };
  const worker = startWorker(workerData);
  let ofPlatform: { readonly thrown: unknown } | undefined;
  try {
    const loadsDevice = (): boolean => mailbox.words[0] === LOADS_DEVICE_TYPE;
    const answer = await firstAnswer(worker, () => (loadsDevice() ? undefined : blueprint.module));
    worker.removeAllListeners();
    if (!('failure' in answer)) return new WorkerTransport(worker, mailbox, faults, setup, answer);
    ofPlatform = { thrown: thrownOf(answer.failure) };
    throw ofPlatform.thrown;
  } catch (error) {
    worker.removeAllListeners();
    worker.on('error', () => {});
    await worker.terminate();
    // As in the driver's own thread, it is the error of the platform.
    if (isCodedError(error) || ofPlatform !== undefined) throw error;
    throw new DeviceError('ERR_DEVICE_LOST', `the device's thread did not start: ${describeError(error)}`, {
      hint: 'machine.device: same-thread needs no thread',
      cause: error,
    });
  }
}

/**
 * Waits until the device is there. Rejects where it cannot be made, or nothing is heard in time. `ofPlatform` tells the
 * module that is being loaded, `undefined` where that is the one of the device type.
 */
async function firstAnswer(
  worker: Worker,
  ofPlatform: () => string | undefined,
): Promise<DeviceWorkerReady | DeviceWorkerFailure> {
  let timer: NodeJS.Timeout | undefined;
  try {
    return await new Promise((resolve, reject) => {
      const neverLoads = (how: string): void => {
        const module = ofPlatform();
        const what = `never finishes loading (${how})`;
        if (module === undefined) reject(new ContractError('device', 'default export', `${what} in a worker`));
        else reject(new ContractError('platform', 'addressSpace.module', `${what}: ${module}`));
      };
      worker.once('message', resolve);
      worker.once('error', reject);
      worker.once('exit', (code) => {
        if (code === UNSETTLED_AWAIT) neverLoads('a top-level await of it never settles');
        else reject(new Error(`it ended with exit code ${code}`));
      });
      timer = setTimeout(() => neverLoads(`it had ${START_TIMEOUT_MS} ms`), START_TIMEOUT_MS);
    });
  } finally {
    clearTimeout(timer);
  }
}

/** What the device will offer, found out without opening its files. */
function offersOf(type: DeviceTypePlugin, setup: DeviceSetup): FeatureSet {
  const model = openModel(type, settingsWithoutPaths(type, setup.settings), setup.byteOrder);
  const offers = offeredFeatures(setup, model.features);
  model.dispose();
  return offers;
}
