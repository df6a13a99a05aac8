/**
 * Virtio over PCI, for a driver: the transports of specification 1.4 section 4.1, modern and legacy, over any PCI function.
 *
 * @packageDocumentation
 */
export * from './device-identity.ts';
export * from './polled-msix.ts';
export * from './configuration-space.ts';
export * from './pci-function.ts';
export * from './device-interrupts.ts';
export * from './pci-legacy-transport.ts';
export * from './pci-modern-transport.ts';
