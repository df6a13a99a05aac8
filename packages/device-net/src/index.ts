/**
 * The network device: driver half, device half, and the workloads over it (specification 1.4 section 5.1).
 *
 * @packageDocumentation
 */
import {
  defineDeviceType,
  PLUGIN_API_VERSION,
  type DeviceTypePlugin,
  defineWorkload,
  type DriverContext,
  type WorkloadType,
} from '@virtio-platform/core';
import { echoWorkloads } from '@virtio-platform/device-kit';
import { byteSize } from '@virtio-platform/options';
import { z } from 'zod';
import { MixedWork, type MixedOptions } from './mixed/mixed-work.ts';
import { ETHERNET_HEADER, NET_LONGEST_PACKET } from './layout.ts';
import { NET_CONFIG, readNetConfig } from './net-config.ts';
import { NetDevice } from './net-device.ts';
import { NET_DRIVER_FEATURES, NetDriver, netQueues } from './net-driver.ts';
import { NET_FEATURES } from './net-features.ts';
import { qemuNet } from './qemu-net.ts';
import { vhostUserNet } from './net-front-end.ts';
import { macBytes, NET_SETTINGS, type NetSettings } from './net-settings.ts';

export * from './control/control-commands.ts';
export { type ControlChannelOptions, ControlChannel } from './control/control-channel.ts';
export * from './control/net-command.ts';
export * from './layout.ts';
export * from './net-config.ts';
export * from './net-device.ts';
export * from './net-driver.ts';
export * from './net-features.ts';
export { NetLink, type NetLinkOptions } from './net-link.ts';
export * from './net-settings.ts';
export * from './offload/checksum.ts';
export { headerProblem, type HeaderProblem } from './offload/header-problem.ts';
export * from './offload/net-header.ts';
export * from './offload/offload-set.ts';
export * from './offload/packet-layers.ts';
export { Segmenter } from './offload/segmenter.ts';
export * from './receive-side-scaling/frame-hash.ts';
export * from './receive-side-scaling/scaling-config.ts';
export { toeplitz } from './receive-side-scaling/toeplitz.ts';

/** Queue size that the device half supports at most, as QEMU's. */
const MAX_QUEUE_SIZE = 1024;
/** Room for all headers of a frame, and some data. */
const LEAST_MIXED = 128;

const mixed: WorkloadType<NetSettings, NetDriver, MixedOptions> = defineWorkload<NetSettings, NetDriver, MixedOptions>({
  summary: 'send frames and commands at random, and compare what comes back with a model of the device',
  options: z.strictObject({
    blockSize: byteSize({ minimum: LEAST_MIXED })
      .default(1514)
      .describe('Bytes of the longest frame that is given to the device; without it 1514.'),
    commands: z
      .number()
      .min(0)
      .max(1)
      .default(0.1)
      .describe('How often a command comes before the next frames, 0 to 1; without it 0.1.'),
  }),
  bytes: ({ blockSize }) => blockSize,
  problem: (_settings, { blockSize }) =>
    blockSize <= NET_LONGEST_PACKET ? undefined : { key: 'blockSize', message: `at most ${NET_LONGEST_PACKET} bytes` },
  recovers: false,
  open: (driver: NetDriver, context) => new MixedWork(driver, context),
});

const plugin: DeviceTypePlugin<NetSettings, NetDriver> = defineDeviceType<NetSettings, NetDriver>({
  kind: 'device',
  name: 'net',
  apiVersion: PLUGIN_API_VERSION,
  id: 1,
  features: NET_FEATURES,
  options: NET_SETTINGS,
  config: NET_CONFIG,
  driver: {
    features: NET_DRIVER_FEATURES,
    usedLength: { legacy: 'clamp' },
    queues: (device) => netQueues(readNetConfig(device)),
    open: (context: DriverContext) =>
      new NetDriver(context.memory, context.queues, { ...context, readConfig: () => readNetConfig(context) }),
  },
  workloads: {
    ...echoWorkloads({
      least: ETHERNET_HEADER,
      problem(blockSize) {
        if (blockSize >= ETHERNET_HEADER && blockSize <= NET_LONGEST_PACKET) return undefined;
        return { key: 'blockSize', message: `a packet has ${ETHERNET_HEADER} to ${NET_LONGEST_PACKET} bytes` };
      },
    }),
    mixed,
  },
  model: (settings, byteOrder) =>
    new NetDevice({ ...settings, mac: macBytes(settings.mac), queueSize: MAX_QUEUE_SIZE, byteOrder }),
  qemu: qemuNet,
  vhostUser: vhostUserNet,
});

export default plugin;
