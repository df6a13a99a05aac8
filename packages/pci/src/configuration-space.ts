import type { PciFunction } from './pci-function.ts';

/**
 * Offset of the vendor id, 16 bits. The names are those of linux/pci_regs.h (PCI local bus specification 3.0 section
 * 6.1).
 */
export const PCI_VENDOR_ID = 0x00;
/** Offset of the device id, 16 bits. */
export const PCI_DEVICE_ID = 0x02;
/** Offset of the command register, 16 bits. */
export const PCI_COMMAND = 0x04;
/** Offset of the first base address register, 32 bits. Five more follow it. */
export const PCI_BASE_ADDRESS_0 = 0x10;
/** Offset of the subsystem id, 16 bits. */
export const PCI_SUBSYSTEM_ID = 0x2e;

/** Command bit: the function answers in I/O space. */
export const PCI_COMMAND_IO = 1;
/** Command bit: the function answers in memory space. */
export const PCI_COMMAND_MEMORY = 2;
/** Command bit: the function may access memory (bus master). */
export const PCI_COMMAND_MASTER = 4;
/** Command bit: the function does not assert its interrupt line (INTx). */
export const PCI_COMMAND_INTX_DISABLE = 0x400;
/** Bit of a base address register: it is in I/O space. */
export const PCI_BASE_ADDRESS_SPACE_IO = 1;
/** Bits of a base address register in memory space that state its width. */
export const PCI_BASE_ADDRESS_MEM_TYPE_MASK = 6;
/** The width of a base address register of 64 bits, whose high half is the next register. */
export const PCI_BASE_ADDRESS_MEM_TYPE_64 = 4;

/**
 * The list of capabilities: the status register and its bit for the list, the first pointer, and the bytes of header
 * and space.
 */
const LIST = { status: 0x06, hasList: 0x10, first: 0x34, headerBytes: 0x40, bytes: 0x100 } as const;
/** One capability of a PCI function. */
export interface PciCapability {
  readonly id: number;
  /** The offset of the capability in configuration space. */
  readonly offset: number;
  /** Bytes from the offset to the end of configuration space: the capability cannot be longer. */
  readonly maxLength: number;
}

/**
 * The capabilities of a function, in the order of its list (PCI local bus specification 3.0 section 6.7). A list that
 * repeats an entry, or points into the header, ends there.
 */
export function listCapabilities(pci: PciFunction): PciCapability[] {
  const found: PciCapability[] = [];
  if ((pci.readConfig(LIST.status, 2) & LIST.hasList) === 0) return found;
  let offset = pci.readConfig(LIST.first, 1) & 0xfc;
  while (offset >= LIST.headerBytes && !found.some((other) => other.offset === offset)) {
    found.push({ id: pci.readConfig(offset, 1), offset, maxLength: LIST.bytes - offset });
    offset = pci.readConfig(offset + 1, 1) & 0xfc;
  }
  return found;
}
