/**
 * Virtio over MMIO, for a driver: the transports of specification 1.4 section 4.2, modern and legacy, over any window
 * of registers.
 *
 * @packageDocumentation
 */
export * from './mmio-identity.ts';
export * from './mmio-legacy-transport.ts';
export * from './mmio-modern-transport.ts';
export * from './mmio-registers.ts';
export type { MmioSignal } from './mmio-interrupts.ts';
export { MmioTransport, type MmioTransportOptions } from './mmio-transport.ts';
export * from './open-mmio-transport.ts';
export * from './shared-memory-region.ts';
