/**
 * Virtio devices for programs in Node: promises and streams over the driver halves of the device types, on every
 * machine that a profile can name. A client waits in the event loop and uses no processor time while nothing happens.
 *
 * ```ts
 * await using disk = await openBlock('profiles/pseries-plain.yaml');
 * await disk.write(0, Buffer.alloc(512, 'x'));
 * console.log(await disk.read(0, 512));
 * ```
 *
 * @packageDocumentation
 */
export { openBlock, type BlockClient, type BlockOptions, type WriteZeroesOptions } from './block/block-client.ts';
export { ClientError, RequestError, type RequestFacts } from './client-error.ts';
export type { ClientEvents, ConsolePortInfo } from './device/client-events.ts';
export { DeviceClient, type ClientRequests } from './device/device-client.ts';
export type { OpenOptions, ProfileLike, RequestOptions } from './device/open-options.ts';
export { openConsole, type ConsoleClient, type ConsoleOptions } from './console/console-client.ts';
export type { ConsolePortStream } from './console/console-port-stream.ts';
export { openEntropy, type EntropyClient, type EntropyOptions } from './entropy-client.ts';
export { openNet, type NetClient, type NetOptions } from './net/net-client.ts';
export { openScsi, type ScsiClient, type ScsiCommandOptions, type ScsiOptions } from './scsi/scsi-client.ts';
export type { ScsiTaskAnswer, ScsiTaskName } from './scsi/scsi-task.ts';
export type { ScsiAnswer } from './scsi/scsi-work.ts';
export { RequestClient, type RequestClientOptions } from './requests/request-client.ts';
