/**
 * Virtio devices for programs in Node: promises and streams over the driver halves of the device types, on every machine
 * that a profile can name. A client waits in the event loop and uses no processor time while nothing happens.
 *
 * ```ts
 * await using disk = await openBlock('profiles/pseries-plain.yaml');
 * await disk.write(0, Buffer.alloc(512, 'x'));
 * console.log(await disk.read(0, 512));
 * ```
 *
 * @packageDocumentation
 */
export { openBlock, type BlockClient, type BlockOptions, type WriteZeroesOptions } from './block-client.ts';
export { ClientError, RequestError, type RequestFacts } from './client-error.ts';
export { DeviceClient, type ClientEvents, type ClientRequests } from './device-client.ts';
export type { OpenOptions, ProfileLike, RequestOptions } from './open-options.ts';
