import 'reflect-metadata';
import { parentPort, workerData } from 'node:worker_threads';
import { coversMemoryOneToOne, FaultLog, type OpenAddressSpace } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import { createDevice } from '@virtio-platform/devices';
import { describeError } from './describe-error.ts';
import { offeredFeatures, type DeviceSetup } from './device-setup.ts';
import { spaceWithConsequence } from './fault-consequence.ts';
import { exitReportToJson } from './fault-records.ts';
import { Command, Mailbox, readFeatureWords, writeFeatureWords } from './mailbox.ts';
import { SimulatedDevice } from './simulated-device.ts';

/** What the driver's thread gives to this one. */
export interface DeviceWorkerData {
  readonly memory: SharedArrayBuffer;
  readonly mailbox: SharedArrayBuffer;
  readonly setup: DeviceSetup;
  readonly addressSpace: { readonly module: string; readonly state: unknown };
}

/** What it answers once the device is there. */
export interface DeviceWorkerReady {
  readonly deviceType: string;
  readonly queueCount: number;
}

/** How long the device sleeps at most before it looks whether it is still wanted. */
const NAP_MS = 1000;

// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only `openWorkerTransport` starts this module
const input = workerData as DeviceWorkerData;
const mailbox = new Mailbox(input.mailbox);
const faults = new FaultLog(() => mailbox.countFault());
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the contract of a blueprint's module; a wrong one fails to start
const { openAddressSpace } = (await import(input.addressSpace.module)) as { openAddressSpace: OpenAddressSpace };
const space = openAddressSpace(new GuestMemory(input.memory), faults, input.addressSpace.state);
const model = createDevice(input.setup.type, input.setup.settings, input.setup.byteOrder);
const offers = offeredFeatures(input.setup, model.features);
const probe = openAddressSpace(space.memory, new FaultLog(), input.addressSpace.state);
const isOneToOne = (): boolean => coversMemoryOneToOne(probe);
const seen = spaceWithConsequence(space, input.setup.onFault);
const device = new SimulatedDevice(model, seen, {
  ...input.setup,
  offers,
  isOneToOne,
  isRung: (queue) => mailbox.isRung(queue),
});

const ready: DeviceWorkerReady = { deviceType: model.type, queueCount: model.queueSizes.length };
parentPort!.postMessage(ready);
try {
  serve();
  device.dispose();
  if (device.isLost) mailbox.leave(faultsAsJson());
} catch (error) {
  // The driver's side waits without an event loop: it learns of the error here or not at all.
  mailbox.leave(exitReportToJson({ faults: faults.entries, error: describeError(error) }));
  throw error;
}

function serve(): void {
  for (let seen = 0, isWanted = true; isWanted && !device.isLost;) {
    const command = mailbox.command;
    if (command !== undefined) {
      isWanted = execute(command);
      mailbox.answer();
      continue;
    }
    const isRung = mailbox.takeDoorbells();
    if (isRung) hearDoorbells();
    if (device.takeNotification()) mailbox.interrupt();
    if (!isRung) seen = mailbox.sleep(seen, NAP_MS);
  }
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
  return exitReportToJson({ faults: faults.entries });
}
