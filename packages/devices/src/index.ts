/**
 * Virtio device types: layout, driver half and device half.
 *
 * @packageDocumentation
 */
export * from './block/backing.ts';
export * from './block/config.ts';
export * from './block/device.ts';
export * from './block/driver.ts';
export { checkImage, type ImageOptions } from './block/image-file.ts';
export * from './block/layout.ts';
export * from './buffer-mapping.ts';
export * from './buffer-slots.ts';
export * from './console/config.ts';
export * from './console/device.ts';
export * from './console/driver.ts';
export * from './console/layout.ts';
export * from './create-device.ts';
export * from './device-model.ts';
export * from './driver-queue.ts';
export * from './entropy/device.ts';
export * from './entropy/driver.ts';
export * from './entropy/source.ts';
export * from './message-link.ts';
export * from './net/config.ts';
export * from './net/device.ts';
export * from './net/driver.ts';
export * from './net/layout.ts';
