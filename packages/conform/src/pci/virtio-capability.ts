import type { PciFunction } from '@virtio-platform/core/device';
import { listCapabilities } from '@virtio-platform/pci';

const VENDOR_SPECIFIC = 9;

/** Values of cfg_type (specification 1.4 section 4.1.4). */
export const CFG_TYPE = {
  common: 1,
  notify: 2,
  isr: 3,
  device: 4,
  window: 5,
  sharedMemory: 8,
  vendor: 9,
} as const;

/** struct virtio_pci_cap, as the function has it. */
export interface VirtioCapability {
  /** The offset in configuration space. */
  readonly at: number;
  readonly length: number;
  readonly type: number;
  readonly bar: number;
  readonly id: number;
  /** Of the structure, in its base address register. */
  readonly offset: number;
  readonly bytes: number;
}

/** The vendor-specific capabilities of a virtio function, in the order of its list. */
export function virtioCapabilities(pci: PciFunction): readonly VirtioCapability[] {
  return listCapabilities(pci)
    .filter(({ id, maxLength }) => id === VENDOR_SPECIFIC && maxLength >= 16)
    .map(({ offset: at }) => ({
      at,
      length: pci.readConfig(at + 2, 1),
      type: pci.readConfig(at + 3, 1),
      bar: pci.readConfig(at + 4, 1),
      id: pci.readConfig(at + 5, 1),
      offset: pci.readConfig(at + 8, 4),
      bytes: pci.readConfig(at + 12, 4),
    }));
}
