/**
 * Virtio over PCI, for a driver: the transports of specification 1.4 section 4.1, modern and legacy, over any PCI function.
 *
 * @packageDocumentation
 */
export * from './device-identity.ts';
export * from './hidden-features.ts';
export * from './msix-table.ts';
export * from './pci-capabilities.ts';
export * from './pci-function.ts';
export * from './pci-interrupts.ts';
export * from './pci-legacy-transport.ts';
export * from './pci-modern-transport.ts';
export * from './polled-messages.ts';
