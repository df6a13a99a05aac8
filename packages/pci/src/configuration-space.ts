import type { PciFunction } from './pci-function.ts';

const STATUS = 0x06;
const STATUS_CAPABILITIES = 0x10;
const FIRST_POINTER = 0x34;
const HEADER_BYTES = 0x40;
const CONFIGURATION_BYTES = 0x100;

export interface PciCapability {
  readonly id: number;
  /** Where it begins in configuration space. */
  readonly offset: number;
  /** Most bytes it can have: what follows is beyond configuration space. */
  readonly room: number;
}

/**
 * The capabilities of a function, in the order of its list (PCI local bus specification 3.0 section 6.7). A list that goes round
 * ends where it does, and one that leads into the header there.
 */
export function capabilities(pci: PciFunction): PciCapability[] {
  const found: PciCapability[] = [];
  if ((pci.readConfig(STATUS, 2) & STATUS_CAPABILITIES) === 0) return found;
  let offset = pci.readConfig(FIRST_POINTER, 1) & 0xfc;
  while (offset >= HEADER_BYTES && !found.some((other) => other.offset === offset)) {
    found.push({ id: pci.readConfig(offset, 1), offset, room: CONFIGURATION_BYTES - offset });
    offset = pci.readConfig(offset + 1, 1) & 0xfc;
  }
  return found;
}
