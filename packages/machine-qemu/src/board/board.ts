import type { AccessWidth } from '@virtio-platform/pci';

/** Addresses that base address registers can be given: on the PCI bus, and where the processor sees them. */
export interface AddressWindow {
  readonly pciBase: number;
  readonly processorBase: number;
  readonly size: number;
}

/**
 * How the processor of one of QEMU's boards reaches PCI: what differs between a PC and a POWER machine. Device and function are
 * those of the root bus.
 */
export interface Board {
  readonly name: 'pc' | 'q35' | 'pseries';
  readonly io: AddressWindow;
  readonly memory: AddressWindow;
  /** For base address registers of 64 bits. */
  readonly memory64: AddressWindow;
  readConfig(devfn: number, offset: number, width: AccessWidth): number;
  writeConfig(devfn: number, offset: number, width: AccessWidth, value: number): void;
  /** Reads a little-endian register in memory, at the address the processor sees it. */
  readMemory(address: number, width: AccessWidth): number;
  writeMemory(address: number, width: AccessWidth, value: number): void;
  readIo(address: number, width: AccessWidth): number;
  writeIo(address: number, width: AccessWidth, value: number): void;
}

/** How the protocol names widths: `readw`, `outl`. */
export const WIDTH_NAMES: Readonly<Record<AccessWidth, string>> = { 1: 'b', 2: 'w', 4: 'l' };
