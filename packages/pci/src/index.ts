/**
 * Virtio over PCI, for a driver: the transports of specification 1.4 section 4.1, modern and legacy, over any PCI
 * function.
 *
 * @packageDocumentation
 */
export * from './configuration-space.ts';
export { INTERRUPT_MODES, NO_MSIX, VECTORS, type InterruptMode, type PciInterrupts } from './device-interrupts.ts';
export * from './device-identity.ts';
export type { AccessWidth, PciBar, PciFunction } from './pci-function.ts';
export * from './pci-legacy-transport.ts';
export * from './pci-modern-transport.ts';
export * from './polled-msix.ts';
