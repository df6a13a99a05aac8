/** The device's view of memory: translation, access, recorded faults. @packageDocumentation */
export * from './device-address-space.ts';
export * from './fault-log.ts';
export { coversMemoryOneToOne, PHYSICAL_ADDRESS_SPACE, PhysicalTranslation } from './physical-address-space.ts';
export * from './simulated-iotlb.ts';
export * from './translated-address-space.ts';
