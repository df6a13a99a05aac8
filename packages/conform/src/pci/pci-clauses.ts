import type { Clause } from '@virtio-platform/core';

function clause(section: string, level: Clause['level'], requires: string): Clause {
  return { section, level, requires };
}

/** What the specification requires of a device on PCI: section 4.1 and those below it, beside those of every device. */
export const PCI_CLAUSES: readonly Clause[] = [
  clause('4.1', 'MUST', 'what PCI requires: header, capabilities, MSI-X, command register, resets of the function'),
  clause('4.1.2.1', 'MUST', 'vendor id and device id; revision and subsystem of devices that are not transitional'),
  clause('4.1.2.3', 'MUST', 'revision and subsystem of transitional devices'),
  clause('4.1.3.1', 'text', 'accesses by the width of a field, and a device that survives others'),
  clause('4.1.3.2', 'MUST', 'halves of fields of 64 bits by themselves'),
  clause('4.1.4', 'text', 'structures inside of their base address registers, and apart'),
  clause('4.1.4.1', 'text', 'capabilities that no driver changes'),
  clause('4.1.4.2', 'MUST', 'cap_len with all of the capability'),
  clause('4.1.4.3', 'text', 'registers of the common configuration that keep what the driver wrote'),
  clause('4.1.4.3.1', 'MUST', 'feature words, status after a reset, queue_enable, queue_reset, queue_size'),
  clause('4.1.4.4.1', 'MUST', 'a notification structure for all queues, aligned, with a multiplier of a power of 2'),
  clause('4.1.4.5.1', 'MUST', 'the bits of the interrupt status, and the interrupt line as it says'),
  clause('4.1.4.6', 'text', 'a device structure with all fields'),
  clause('4.1.4.6.1', 'MUST', 'a device structure that is aligned'),
  clause('4.1.4.7.1', 'MUST', 'shared memory regions inside of their base address registers'),
  clause('4.1.4.8.1', 'MUST', 'vendor data of another vendor'),
  clause('4.1.4.9', 'text', 'a window that keeps where it is'),
  clause('4.1.4.9.1', 'MUST', 'accesses through the window'),
  clause('4.1.4.9.2', 'text', 'windows that no driver may open'),
  clause('4.1.4.10', 'MUST', 'the legacy registers'),
  clause('4.1.5.1.2.1', 'MUST', 'vectors that are mapped, unmapped, refused and read back'),
  clause('4.1.5.2', 'text', 'notifications of the driver at the register of a queue'),
  clause('4.1.5.2.1', 'text', 'notifications that no driver may send'),
  clause('4.1.5.3', 'text', 'notifications of used buffers, by each way of interrupts'),
  clause('4.1.5.3.1', 'MUST', 'no interrupt of a queue without a vector'),
  clause('4.1.5.4.1', 'MUST', 'no interrupt of the configuration without a vector'),
];
