/**
 * Virtio over PCI, for a driver: the transports of specification 1.4 section 4.1, modern and legacy, over any PCI function.
 *
 * @packageDocumentation
 */
export * from './pci-function.ts';
export * from './pci-interrupts.ts';
