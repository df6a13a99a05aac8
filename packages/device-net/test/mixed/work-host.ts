import type { WorkDone, WorkLoop, Workload } from '@virtio-platform/core';
import { RegisterTransport, DeviceLoop } from '@virtio-platform/conformance/testing';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import {
  MixedWork,
  NET_DRIVER_FEATURES,
  NET_SETTINGS,
  NetDevice,
  NetDriver,
  netQueues,
  readNetConfig,
  type MixedOptions,
  type NetDeviceOptions,
} from '@virtio-platform/device-net';

/** Turns without progress after which nothing comes any more. */
const MOST_IDLE = 200;

/** How a workload is run over a device half. */
export interface WorkHostOptions {
  readonly pairs?: number;
  readonly seed?: number;
  readonly requests?: number;
  readonly lacks?: FeatureSet;
  readonly options?: Partial<MixedOptions>;
  readonly device?: Partial<NetDeviceOptions>;
  /** Makes the device half: one that does something wrong. */
  readonly make?: (options: NetDeviceOptions) => NetDevice;
}

/** Runs the workload `mixed` over a device half in this thread. What it threw is in `error`. */
export async function runMixed(host: WorkHostOptions): Promise<{ readonly done: WorkDone; readonly error: unknown }> {
  const { pairs = 2, seed = 1, requests = 2000, lacks = FeatureSet.EMPTY, options, device, make } = host;
  const mac = Uint8Array.of(2, 0, 0, 0, 0, 0x77);
  const given = { mac, queuePairs: pairs, queueSize: 64, byteOrder: 'little', ...device } as const;
  const model = make === undefined ? new NetDevice(given) : make(given);
  const accepted = model.features.and(NET_DRIVER_FEATURES).minus(lacks).with(VIRTIO_F_VERSION_1);
  let isChanged = false;
  model.connect({ queueChanged: () => {}, configChanged: () => (isChanged = true) });
  const loop = new DeviceLoop(model, accepted, 'little', 64);
  const transport = new RegisterTransport({ offered: accepted, configBytes: 24 });
  transport.readConfig = (offset, target) => target.set(model.config.subarray(offset, offset + target.length));
  Object.defineProperty(transport, 'queueCount', { value: model.queueSizes.length });
  const negotiated = { transport, accepted, byteOrder: 'little' } as const;
  const readConfig = (): ReturnType<typeof readNetConfig> => readNetConfig(negotiated);
  const queues = loop.queues(...netQueues(readConfig()));
  const common = { accepted, depth: 16, bytes: 3000, buffers: 'premapped', notify: () => loop.serve() } as const;
  const driver = new NetDriver(loop.memory, queues, { ...common, byteOrder: 'little', readConfig });
  let idle = 0;
  const work: WorkLoop = {
    async turn(progress) {
      loop.serve();
      if (isChanged) driver.configChanged();
      isChanged = false;
      idle = progress > 0 ? 0 : idle + 1;
      if (idle > MOST_IDLE) throw new Error('nothing comes any more');
      // Timers of the device run.
      if (idle > 2) await new Promise((resolve) => setTimeout(resolve, 1));
    },
    failedToAdd(reason) {
      throw new Error(`a buffer cannot be added: ${reason}`);
    },
    disrupt() {},
  };
  const workload: Workload = new MixedWork(driver, {
    ...negotiated,
    ...common,
    memory: loop.memory,
    inspected: loop.memory,
    queues,
    settings: NET_SETTINGS.parse({}),
    options: { blockSize: 3000, commands: 0.2, ...options },
    kind: 'mixed',
    requests,
    seed,
    mostReturned: 0,
    loop: work,
  });
  let error: unknown;
  try {
    await workload.run();
  } catch (thrown) {
    error = thrown;
  }
  loop.end(driver);
  return { done: workload.done, error };
}
