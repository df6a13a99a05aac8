/** The device's view of memory: translation, access, recorded faults. @packageDocumentation */
export * from './copy-bytes.ts';
export * from './covers-memory-one-to-one.ts';
export * from './device-address-space.ts';
export * from './fault-log.ts';
export { PHYSICAL_ADDRESS_SPACE, PhysicalTranslation } from './physical-address-space.ts';
export * from './translated-address-space.ts';
