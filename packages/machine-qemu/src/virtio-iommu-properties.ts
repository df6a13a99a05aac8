import { z } from 'zod';
import { IOMMU_SLOT } from './device-arguments.ts';

/** What is particular about QEMU's virtio-iommu. */
export interface VirtioIommuProperties {
  /** Whether endpoints without a domain are let through at boot. */
  readonly bootBypass: boolean;
  /** Whether its own queues may be packed. */
  readonly packed: boolean;
}

/** The `virtioIommu` of a profile. */
export const virtioIommuSchema: z.ZodType<VirtioIommuProperties> = z.strictObject({
  bootBypass: z
    .boolean()
    .default(true)
    .describe('Whether endpoints without a domain are let through at boot. Default true.'),
  packed: z.boolean().default(false).describe('Whether its own queues may be packed. Default false.'),
});

/** The arguments of the unit. */
export function virtioIommuArguments({ bootBypass, packed }: VirtioIommuProperties): string[] {
  const addr = `${IOMMU_SLOT.toString(16).padStart(2, '0')}.0`;
  return ['-device', JSON.stringify({ driver: 'virtio-iommu-pci', addr, 'boot-bypass': bootBypass, packed })];
}
