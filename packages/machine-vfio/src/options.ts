import { INTERRUPT_MODES, type InterruptMode } from '@virtio-platform/pci';
import { z } from 'zod';

/** The ways in which the kernel assigns a device that this machine supports, as platform-vfio names them. */
const CONTAINERS = ['type1', 'type1v2', 'iommufd', 'iommufd-type1', 'iommufd-type1v2'] as const;

/** The checked options of the machine. */
export interface VfioMachineOptions {
  /** Address of a PCI function: `0000:00:03.0`. */
  readonly device: string;
  readonly container: (typeof CONTAINERS)[number];
  /** Addresses of other PCI functions that are put into the same container, and not driven. */
  readonly sharesWith: readonly string[];
  readonly interrupts: InterruptMode;
}

/** The values that a profile may have for {@link VfioMachineOptions}. */
export interface VfioMachineInput {
  readonly device: string;
  readonly container?: VfioMachineOptions['container'] | undefined;
  readonly sharesWith?: readonly string[] | undefined;
  readonly interrupts?: VfioMachineOptions['interrupts'] | undefined;
}

/** The address becomes a part of paths below /sys, so it consists of these digits only. */
const PCI_ADDRESS = /^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/;

const NOT_AN_ADDRESS = 'a PCI address is domain, bus, slot and function, such as 0000:00:03.0';

/** The `machine` section of a profile that uses this plugin, without `memory`. */
export const vfioMachineSchema: z.ZodType<VfioMachineOptions, VfioMachineInput> = z.strictObject({
  device: z
    .string()
    .regex(PCI_ADDRESS, { error: NOT_AN_ADDRESS })
    .describe(
      'PCI address of a virtio device that is bound to vfio-pci, such as 0000:00:03.0; see virtio-platform list.',
    ),
  container: z
    .enum(CONTAINERS)
    .default('type1v2')
    .describe(
      'How the kernel assigns the device, as in platform.container: type1, type1v2, iommufd, iommufd-type1 or ' +
        'iommufd-type1v2. Default type1v2.',
    ),
  sharesWith: z
    .array(z.string().regex(PCI_ADDRESS, { error: NOT_AN_ADDRESS }))
    .max(64)
    .default([])
    .describe(
      'PCI addresses of other devices to put into the same container. They reach the same memory, which is ' +
        'locked once. Default none.',
    ),
  interrupts: z
    .enum(INTERRUPT_MODES)
    .default('msix')
    .describe(
      'How the device interrupts. msix: MSI-X messages, which the kernel receives. ' +
        'isr: the driver polls the ISR register. messages: the former name of msix. Default msix.',
    ),
});
