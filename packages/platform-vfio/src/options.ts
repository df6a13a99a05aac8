import { PAGE_SIZE } from '@virtio-platform/core';
import { z } from 'zod';
import { byteSize } from './byte-size.ts';

/** The kernel's own default: module parameter dma_entry_limit of vfio_iommu_type1. */
const DEFAULT_ENTRY_LIMIT = 65535;

/** The `platform` section of a profile that uses this plugin. */
export interface VfioOptions {
  /** First I/O virtual address to use; without it the container's first, which can be 0. */
  readonly iovaStart?: number | undefined;
  /** Whether interrupts of the device are remapped, so that it can raise only its own. */
  readonly interruptRemapping: boolean;
  /** Of the simulated container: bytes the process may pin. */
  readonly memoryLockLimit: number;
  /** Of the simulated container: mappings it can hold. */
  readonly entryLimit: number;
  /** Of the simulated IOMMU: bits of an I/O virtual address. */
  readonly addressWidth: 39 | 48;
}

/** What a profile may write for {@link VfioOptions}. */
export interface VfioOptionsInput {
  readonly iovaStart?: number | bigint | undefined;
  readonly interruptRemapping?: boolean | undefined;
  readonly memoryLockLimit?: number | string | undefined;
  readonly entryLimit?: number | undefined;
  readonly addressWidth?: 39 | 48 | undefined;
}

export const vfioOptionsSchema: z.ZodType<VfioOptions, VfioOptionsInput> = z.strictObject({
  iovaStart: z
    .union([z.number(), z.bigint()])
    .transform(Number)
    .refine((address) => address % PAGE_SIZE === 0 && address >= 0 && address < 2 ** 48, {
      error: 'the first I/O virtual address is a multiple of 0x1000 below 2^48',
    })
    .meta({ anyOf: [{ type: 'integer', minimum: 0, multipleOf: PAGE_SIZE }] })
    .optional()
    .describe('First I/O virtual address to use, such as 0x100000000. By default the first of the container, often 0.'),
  interruptRemapping: z
    .boolean()
    .default(true)
    .describe(
      'Whether the IOMMU remaps interrupts. Without it the device is refused, unless policy.allowUnsafeInterrupts.',
    ),
  memoryLockLimit: byteSize
    .prefault('8MiB')
    .describe(
      'Simulated: memory the process may pin (ulimit -l). Every mapping counts, also of the same page. Default 8MiB.',
    ),
  entryLimit: z
    .int()
    .min(1)
    .max(DEFAULT_ENTRY_LIMIT)
    .default(DEFAULT_ENTRY_LIMIT)
    .describe('Simulated: how many mappings the container holds (dma_entry_limit of vfio_iommu_type1). Default 65535.'),
  addressWidth: z
    .literal([39, 48])
    .default(39)
    .describe('Simulated: bits of an I/O virtual address, 39 or 48. Default 39.'),
});
