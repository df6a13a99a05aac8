import { z } from 'zod';

/** What is particular about QEMU's VT-d unit. */
export interface IntelIommuProperties {
  /** Bits of the widest address that it translates: with 48 it translates 39 too. */
  readonly addressWidth: 39 | 48;
  /** Whether it may remember what is not mapped. */
  readonly cachingMode: boolean;
  /** Whether an invalidation completes what is in flight. */
  readonly drain: boolean;
  /** Whether it can remap interrupts. */
  readonly interruptRemapping: boolean;
  /** Whether it can let a device through. */
  readonly passThrough: boolean;
  readonly scalableMode: boolean;
  /** Whether an entry can ask for accesses that snoop the caches of processors. */
  readonly snoopControl: boolean;
}

/** The `intelIommu` of a profile. QEMU's names, and what else it has: `qemu-system-x86_64 -device intel-iommu,help`. */
export const intelIommuSchema: z.ZodType<IntelIommuProperties> = z.strictObject({
  addressWidth: z
    .literal([39, 48])
    .default(39)
    .describe('aw-bits: bits of the widest address, 39 or 48; QEMU 7.2 has no 57. Default 39.'),
  cachingMode: z
    .boolean()
    .default(false)
    .describe('caching-mode: the driver has to invalidate what it maps, too. Default false.'),
  drain: z
    .boolean()
    .default(true)
    .describe('dma-drain: an invalidation completes reads and writes in flight. Default true.'),
  interruptRemapping: z
    .boolean()
    .default(false)
    .describe(
      'intremap: whether it can remap the interrupts of devices. It drops those that it blocks, and records nothing of ' +
        'them. Default false.',
    ),
  passThrough: z.boolean().default(true).describe('pt: whether it can let a device through. Default true.'),
  scalableMode: z
    .boolean()
    .default(false)
    .describe('x-scalable-mode: the tables of scalable mode, beside those of legacy mode. Default false.'),
  snoopControl: z
    .boolean()
    .default(false)
    .describe('snoop-control: an entry can ask for accesses that snoop. Default false.'),
});

/** QEMU's property for each, by which an argument of the profile would set it a second time. */
export const INTEL_IOMMU_PROPERTIES: Readonly<Record<string, keyof IntelIommuProperties>> = {
  'aw-bits': 'addressWidth',
  'caching-mode': 'cachingMode',
  'dma-drain': 'drain',
  intremap: 'interruptRemapping',
  pt: 'passThrough',
  'x-scalable-mode': 'scalableMode',
  'snoop-control': 'snoopControl',
};

/** The arguments of the unit. */
export function intelIommuArguments(properties: IntelIommuProperties): string[] {
  const own = Object.entries(INTEL_IOMMU_PROPERTIES).map(([name, key]) => [name, properties[key]] as const);
  // QEMU's only one of these that is no boolean: it has "auto" too.
  const intremap = properties.interruptRemapping ? 'on' : 'off';
  return ['-device', JSON.stringify({ driver: 'intel-iommu', ...Object.fromEntries(own), intremap })];
}
