import { setImmediate } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import {
  ContractError,
  describeError,
  describeValue,
  forbidExit,
  misbehaving,
  openModel,
  type DeviceTypePlugin,
} from '@virtio-platform/core';
import {
  coversMemoryOneToOne,
  FaultLog,
  type DeviceAddressSpace,
  type OpenAddressSpace,
} from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import { offeredFeatures, type DeviceSetup } from './device-setup.ts';
import { spaceBelowMask } from './masked-address-space.ts';
import { spaceWithConsequence } from './fault-consequence.ts';
import { exitReportToJson } from './fault-records.ts';
import { Command, LOADS_DEVICE_TYPE, Mailbox, readFeatureWords, writeFeatureWords } from './mailbox.ts';
import { SimulatedDevice } from './simulated-device.ts';
import { recordThrown, type ThrownRecord } from './thrown-record.ts';

/** What the driver's thread gives to this one. */
export interface DeviceWorkerData {
  readonly memory: SharedArrayBuffer;
  readonly mailbox: SharedArrayBuffer;
  readonly setup: DeviceSetup;
  readonly addressSpace: { readonly module: string; readonly state: unknown };
}

/** What it answers once the device is there. */
export interface DeviceWorkerReady {
  readonly deviceId: number;
  readonly queueCount: number;
}

/** What it answers where the device cannot be made. */
export interface DeviceWorkerFailure {
  readonly failure: ThrownRecord;
}

/** How long the device sleeps at most before it looks whether it is still wanted. */
const NAP_MS = 1000;
/** How long a device half with events works before its timers and sockets run. */
const SLICE_MS = 20;

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only `openWorkerTransport` starts this module
const input = workerData as DeviceWorkerData;
const mailbox = new Mailbox(input.mailbox);
const faults = new FaultLog(() => mailbox.countFault());
// A plugin that ends its thread would leave the driver's side waiting. Node ends it the same way after an error.
const allowExit = forbidExit(process);
process.once('uncaughtExceptionMonitor', (thrown) => {
  allowExit();
  // The driver's side waits without an event loop: it learns of the error here or not at all.
  if (!mailbox.isGone) mailbox.leave(endOf(thrown));
});
const openAddressSpace = await orFail(() => importOpenAddressSpace(input.addressSpace.module));
const space = await orFail(() =>
  checkedSpace(openAddressSpace(new GuestMemory(input.memory), faults, input.addressSpace.state)),
);
// Whose module is loaded, for the driver's thread: before the first command, it is the only one to read a word.
mailbox.words[0] = LOADS_DEVICE_TYPE;
const type = await orFail(() => importDeviceType(input.setup.module));
const opened = await orFail(() => openModel(type, input.setup.settings, input.setup.byteOrder));
const model = await orFail(() => misbehaving(opened, input.setup.misbehaves));
const offers = offeredFeatures(input.setup, model.features);
const probe = openAddressSpace(space.memory, new FaultLog(), input.addressSpace.state);
const isOneToOne = (): boolean => coversMemoryOneToOne(spaceBelowMask(probe, input.setup.addressBits));
const seen = spaceWithConsequence(spaceBelowMask(space, input.setup.addressBits), input.setup.onFault);
let isUp = false;
const device = await orFail(
  () =>
    new SimulatedDevice(model, seen, {
      ...input.setup,
      type,
      offers,
      isOneToOne,
      isRung: (queue) => mailbox.isRung(queue),
      onEvent: () => {
        if (isUp) interruptDriver();
      },
    }),
);
isUp = true;
const hasEvents = model.usesEventLoop === true;

const ready: DeviceWorkerReady = { deviceId: type.id, queueCount: model.queueSizes.length };
parentPort!.postMessage(ready);
try {
  await serve();
  device.dispose();
  if (device.isLost) mailbox.leave(faultsAsJson());
  // Only now is the command to exit answered: the driver's side then ends this thread.
  else mailbox.answer();
} catch (error) {
  mailbox.leave(endOf(error, device.error));
  throw error;
}

/** What the driver's side learns of a thread that an error ends; `first` is what was thrown before. */
function endOf(error: unknown, first?: { readonly thrown: unknown }): string {
  const thrown = recordThrown(first === undefined ? error : first.thrown);
  return exitReportToJson({ faults: faults.entries, error: describeError(error), thrown });
}

/** Tells the driver's side why there is no device, and does nothing more. */
async function orFail<T>(step: () => T | Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (thrown) {
    parentPort!.postMessage({ failure: recordThrown(thrown) } satisfies DeviceWorkerFailure);
    // The driver's side ends this thread: an error of it would race with the answer, and lose its class.
    return await new Promise<never>(() => {});
  }
}

async function importOpenAddressSpace(module: string): Promise<OpenAddressSpace> {
  let exported: unknown;
  try {
    exported = await import(module);
  } catch (cause) {
    throw new ContractError('platform', 'addressSpace.module', `cannot be loaded: ${describeError(cause)}`, cause);
  }
  const open: unknown = Reflect.get(Object(exported), 'openAddressSpace');
  if (typeof open !== 'function') {
    const what = `exports ${describeValue(open)} as openAddressSpace, not a function`;
    throw new ContractError('platform', 'addressSpace.module', what);
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the contract of a blueprint's module
  return open as OpenAddressSpace;
}

async function importDeviceType(module: string): Promise<DeviceTypePlugin> {
  const imported: unknown = await import(module);
  const exported: unknown = Reflect.get(Object(imported), 'default');
  // As the driver's thread loads it: compiled to CommonJS, the default export is one deeper.
  const isCompiled = Reflect.get(Object(exported), '__esModule') === true;
  const type: unknown = isCompiled ? Reflect.get(Object(exported), 'default') : exported;
  if (typeof Reflect.get(Object(type), 'model') !== 'function') {
    const what = `exports ${describeValue(type)} in a worker, not a device type`;
    throw new ContractError('device', 'default export', what);
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the driver's thread checked the same module
  return type as DeviceTypePlugin;
}

function checkedSpace(space: DeviceAddressSpace): DeviceAddressSpace {
  const value: unknown = space;
  if (typeof value === 'object' && value !== null && 'borrow' in value && 'read' in value && 'write' in value)
    return space;
  throw new ContractError('platform', 'openAddressSpace', `returned ${describeValue(value)}, not an address space`);
}

async function serve(): Promise<void> {
  // A thread that waits for nothing but the mailbox would end.
  if (hasEvents) parentPort!.ref();
  let sliceEnd = performance.now() + SLICE_MS;
  for (let seen = 0, isWanted = true; isWanted && !device.isLost;) {
    const command = mailbox.command;
    if (command !== undefined) {
      isWanted = execute(command);
      interruptDriver();
      if (isWanted) mailbox.answer();
      continue;
    }
    const isRung = mailbox.takeDoorbells();
    if (isRung) hearDoorbells();
    interruptDriver();
    if (!isRung) seen = hasEvents ? await mailbox.sleepAsync(seen, NAP_MS) : mailbox.sleep(seen, NAP_MS);
    else if (hasEvents && performance.now() > sliceEnd) {
      await setImmediate();
      sliceEnd = performance.now() + SLICE_MS;
    }
  }
}

/** Tells the driver's thread what the device notifies of, and the generation of the configuration. */
function interruptDriver(): void {
  mailbox.showConfigGeneration(device.configGeneration);
  if (device.takeConfigChange()) mailbox.changeConfig();
  if (device.takeNotification()) mailbox.interrupt();
}

function hearDoorbells(): void {
  for (let queue = 0; queue < ready.queueCount; queue++) {
    const value = mailbox.takeDoorbell(queue);
    if (value >= 0) device.notify(value);
  }
}

/** Carries out one command. Returns whether the device is still wanted. */
function execute(command: Command): boolean {
  const { words, data } = mailbox;
  switch (command) {
    case Command.ReadFeatures:
      writeFeatureWords(device.features, words);
      return true;
    case Command.WriteFeatures:
      device.writeFeatures(readFeatureWords(words));
      return true;
    case Command.ReadStatus:
      words[0] = device.status;
      return true;
    case Command.WriteStatus:
      device.writeStatus(words[0]!);
      return true;
    case Command.MaxQueueSize:
      words[0] = device.maxQueueSize(words[0]!);
      return true;
    case Command.EnableQueue:
      device.enableQueue(words[0]!, { size: words[1]!, words: words.slice(2, 8) });
      return true;
    case Command.ResetQueue:
      device.resetQueue(words[0]!);
      return true;
    case Command.IsQueueReset:
      words[0] = device.isQueueReset(words[0]!) ? 1 : 0;
      return true;
    case Command.NotificationIdentity:
      words[0] = device.notificationIdentity(words[0]!);
      return true;
    case Command.ReadConfig:
      device.readConfig(words[0]!, data.subarray(0, words[1]));
      return true;
    case Command.WriteConfig:
      device.writeConfig(words[0]!, data.slice(0, words[1]));
      return true;
    case Command.ReadNotifications: {
      const { needed, received, missed, spurious } = device.notifications;
      words.set([needed, received, missed, spurious]);
      return true;
    }
    case Command.ReadFaults:
      words[0] = new TextEncoder().encodeInto(faultsAsJson(), data).written;
      return true;
    case Command.Exit:
      return false;
    default:
      return true;
  }
}

/** As many of the recorded faults as the mailbox holds. */
function faultsAsJson(): string {
  const { error } = device;
  return exitReportToJson({ faults: faults.entries, thrown: error && recordThrown(error.thrown) });
}
