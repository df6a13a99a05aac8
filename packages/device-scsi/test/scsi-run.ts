import { setTimeout } from 'node:timers/promises';
import { DeviceError, type DeviceModel, type WorkDone } from '@virtio-platform/core';
import { DeviceLoop, RegisterTransport } from '@virtio-platform/conformance/testing';
import type { Transport } from '@virtio-platform/core/device';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import {
  MixedWork,
  SCSI_SETTINGS,
  ScsiDriver,
  VIRTIO_SCSI_F_CHANGE,
  VIRTIO_SCSI_F_HOTPLUG,
  type MixedOptions,
  type ScsiSettings,
  type ScsiSettingsInput,
} from '@virtio-platform/device-scsi';

export const SCSI_ACCEPTED: FeatureSet = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_SCSI_F_HOTPLUG, VIRTIO_SCSI_F_CHANGE);

/** Registers whose configuration and queues are those of a device half. */
function transportOf(model: DeviceModel): Transport {
  const registers = new RegisterTransport({ offered: SCSI_ACCEPTED, deviceId: 8 });
  return Object.assign(Object.create(registers) as Transport, {
    queueCount: model.queueSizes.length,
    readConfig: (offset: number, target: Uint8Array) =>
      target.set(model.config.subarray(offset, offset + target.length)),
    writeConfig: (offset: number, source: Uint8Array) => model.writeConfig?.(offset, source),
    configGeneration: () => 0,
    readDeviceFeatures: () => SCSI_ACCEPTED,
  });
}

/** Both halves over real rings, in this thread. */
export function openScsi(
  model: DeviceModel,
  { depth = 4, bytes = 4096 }: { readonly depth?: number; readonly bytes?: number } = {},
) {
  const rings = new DeviceLoop(model, SCSI_ACCEPTED, 'little', 64);
  model.connect?.({ queueChanged: () => rings.serve(), configChanged() {} });
  const context = {
    transport: transportOf(model),
    accepted: SCSI_ACCEPTED,
    byteOrder: 'little',
    memory: rings.memory,
    queues: rings.queues(...model.queueSizes.keys()),
    buffers: 'premapped',
    depth,
    bytes,
    notify: () => rings.serve(),
  } as const;
  return { rings, context };
}

/** Runs the workload `mixed` over a device half, and gives back everything. */
export async function runMixed(
  model: DeviceModel,
  settings: ScsiSettings,
  given: Partial<MixedOptions> & {
    readonly requests?: number;
    readonly seed?: number;
    readonly depth?: number;
    /** So many completed requests after each other, all queues are reset. */
    readonly resetEvery?: number | undefined;
  } = {},
): Promise<WorkDone & { readonly left: { live: number; allocated: number }; readonly error: unknown }> {
  const { requests = 300, seed = 5, depth = 8, resetEvery = Infinity, ...changed } = given;
  const options = { blockSize: 2048, reads: 0.45, unmaps: 0.1, queries: 0.15, tasks: 0.1, ...changed };
  const { rings, context } = openScsi(model, { depth, bytes: options.blockSize });
  const driver = new ScsiDriver(context);
  let idle = 0;
  let resetAt = resetEvery;
  const loop = {
    async turn(progress: number): Promise<void> {
      for (const { queue } of context.queues)
        if (queue.broken !== undefined) throw new DeviceError('ERR_QUEUE_BROKEN', queue.broken.detail);
      for (const { queue } of context.queues) queue.enableNotifications();
      rings.serve();
      idle = progress > 0 ? 0 : idle + 1;
      if (idle > 300) throw new DeviceError('ERR_DEVICE_STALLED', 'nothing comes back');
      if (idle > 0) await setTimeout(1);
    },
    failedToAdd(reason: number): void {
      throw new DeviceError('ERR_DMA_EXHAUSTED', `nothing can be added: ${reason}`);
    },
    /** The device has handled all requests, and the driver knows nothing of that yet. */
    disrupt(completed: number): void {
      if (completed < resetAt) return;
      resetAt += resetEvery;
      rings.serve();
      for (const { queue } of context.queues) workload.recover(queue.index, rings.resetQueue(queue.index));
    },
  };
  const own = { settings, options, kind: 'mixed', requests, seed, mostReturned: 0, loop, inspected: rings.memory };
  const workload = new MixedWork(driver, { ...context, ...own });
  let error: unknown;
  try {
    await workload.run();
  } catch (thrown) {
    error = thrown;
  }
  return { ...workload.done, error, left: rings.end(driver) };
}

export function settingsOf(input: ScsiSettingsInput): ScsiSettings {
  return SCSI_SETTINGS.parse(input);
}
