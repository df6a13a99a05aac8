/**
 * Virtio device types: layout, driver half and device half.
 *
 * @packageDocumentation
 */
export * from './block/backing.ts';
export * from './block/config.ts';
export * from './block/device.ts';
export * from './block/driver.ts';
export * from './block/layout.ts';
export * from './create-device.ts';
export * from './device-model.ts';
