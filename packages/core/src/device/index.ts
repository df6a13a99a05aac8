/** Device status, initialisation, reset, configuration, and the Transport contract. @packageDocumentation */
export * from './await-device.ts';
export * from './device-status.ts';
export * from './device-id.ts';
export * from './forwarding-transport.ts';
export * from './initialize-device.ts';
export * from './pci-function.ts';
export * from './read-device-config.ts';
export * from './reset-device.ts';
export * from './short-configuration.ts';
export * from './suspend-device.ts';
export * from './transport.ts';
export type { DeviceInterface } from '../features/transport-features.ts';
