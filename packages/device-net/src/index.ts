/**
 * The network device: driver half, device half, and the workloads over it (specification 1.4 section 5.1).
 *
 * @packageDocumentation
 */
import { defineDeviceType, PLUGIN_API_VERSION, type DeviceTypePlugin, type DriverContext } from '@virtio-platform/core';
import { NET_CASES } from './conform/net-cases.ts';
import { NET_CONFIG, readNetConfig } from './net-config.ts';
import { NetDevice } from './net-device.ts';
import { NET_DRIVER_FEATURES, NetDriver } from './net-driver.ts';
import { netQueues } from './net-pairs.ts';
import { NET_FEATURES } from './net-features.ts';
import { qemuNet } from './qemu-net.ts';
import { NET_WORKLOADS } from './net-workloads.ts';
import { vhostUserNet } from './net-front-end.ts';
import { macBytes, NET_SETTINGS, type NetSettings } from './net-settings.ts';
import { checkNetRequest } from './check-net-request.ts';

export * from './control/control-commands.ts';
export { type ControlChannelOptions, ControlChannel } from './control/control-channel.ts';
export * from './control/net-command.ts';
export * from './layout.ts';
export * from './net-config.ts';
export * from './net-device.ts';
export * from './net-driver.ts';
export * from './net-features.ts';
export { NetLink, type NetLinkOptions } from './net-link.ts';
export * from './net-pairs.ts';
export * from './net-settings.ts';
export { NET_WORKLOADS } from './net-workloads.ts';
export { MixedWork, type MixedContext, type MixedOptions } from './mixed/mixed-work.ts';
export { CaptureReader } from './pcap/capture-reader.ts';
export { CaptureWriter } from './pcap/capture-writer.ts';
export { ReplayWork, type ReplayOptions } from './pcap/replay-work.ts';
export * from './offload/checksum.ts';
export { headerProblem, type HeaderProblem } from './offload/header-problem.ts';
export * from './offload/net-header.ts';
export * from './offload/offload-set.ts';
export * from './offload/packet-layers.ts';
export { Segmenter } from './offload/segmenter.ts';
export * from './receive-side-scaling/frame-hash.ts';
export {
  encodeHash,
  encodeScaling,
  NET_LONGEST_TABLE,
  type HashConfig,
  type ScalingConfig,
} from './receive-side-scaling/scaling-config.ts';
export { toeplitz } from './receive-side-scaling/toeplitz.ts';

/** Queue size that the device half supports at most, as QEMU's. */
const MAX_QUEUE_SIZE = 1024;

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
  workloads: NET_WORKLOADS,
  model: (settings, byteOrder) =>
    new NetDevice({ ...settings, mac: macBytes(settings.mac), queueSize: MAX_QUEUE_SIZE, byteOrder }),
  qemu: qemuNet,
  vhostUser: vhostUserNet,
  cases: NET_CASES,
  checkRequest: checkNetRequest,
});

export default plugin;
