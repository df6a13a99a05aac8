import type { PciFunction } from './pci-function.ts';

const STATUS = 0x06;
const STATUS_CAPABILITIES = 0x10;
const FIRST_POINTER = 0x34;
/** Capabilities begin behind the header and are multiples of 4, so there cannot be more; a list that goes round ends here. */
const MOST = 48;
const HEADER_BYTES = 0x40;

export interface PciCapability {
  readonly id: number;
  /** Where it begins in configuration space. */
  readonly offset: number;
}

/** The capabilities of a function, in the order of its list (PCI local bus specification 3.0 section 6.7). Bounded, whatever the list says. */
export function capabilities(pci: PciFunction): PciCapability[] {
  const found: PciCapability[] = [];
  if ((pci.readConfig(STATUS, 2) & STATUS_CAPABILITIES) === 0) return found;
  for (let offset = pci.readConfig(FIRST_POINTER, 1) & 0xfc; found.length < MOST && offset >= HEADER_BYTES;) {
    found.push({ id: pci.readConfig(offset, 1), offset });
    offset = pci.readConfig(offset + 1, 1) & 0xfc;
  }
  return found;
}
