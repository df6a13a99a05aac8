import type { InjectionToken } from 'tsyringe';
import { z } from 'zod';

/** Ways to get a device from the kernel that this machine knows, as platform-vfio names them. */
const CONTAINERS = ['type1', 'type1v2', 'iommufd'] as const;

export interface VfioMachineOptions {
  /** Address of a PCI function: `0000:00:03.0`. */
  readonly device: string;
  readonly container: (typeof CONTAINERS)[number];
  readonly interrupts: 'messages' | 'isr';
}

/** What a profile may write for {@link VfioMachineOptions}. */
export interface VfioMachineInput {
  readonly device: string;
  readonly container?: VfioMachineOptions['container'] | undefined;
  readonly interrupts?: VfioMachineOptions['interrupts'] | undefined;
}

/** It becomes a part of paths below /sys, so nothing but these digits ever gets there. */
const PCI_ADDRESS = /^[0-9a-f]{4,8}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/;

/** The `machine` section of a profile that uses this plugin, without `memory`. */
export const vfioMachineSchema: z.ZodType<VfioMachineOptions, VfioMachineInput> = z.strictObject({
  device: z
    .string()
    .regex(PCI_ADDRESS, { error: 'a PCI address is domain, bus, slot and function, such as 0000:00:03.0' })
    .describe(
      'PCI address of a virtio device that is bound to vfio-pci, such as 0000:00:03.0; see virtio-platform list.',
    ),
  container: z
    .enum(CONTAINERS)
    .default('type1v2')
    .describe(
      'How the kernel hands out the device, as in platform.container: type1, type1v2 or iommufd. Default type1v2.',
    ),
  interrupts: z
    .enum(['messages', 'isr'])
    .default('messages')
    .describe(
      'How the device interrupts. messages: MSI-X, which the kernel receives. isr: a register that is asked. Default messages.',
    ),
});

export const VFIO_MACHINE_OPTIONS: InjectionToken<VfioMachineOptions> = Symbol.for(
  '@virtio-platform/machine-vfio:Options',
);
