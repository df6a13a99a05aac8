import { BOUNCE_SEGMENT_SLOTS, BOUNCE_SLOT_SIZE } from '@virtio-platform/core';
import { z } from 'zod';
import { byteSize } from './byte-size.ts';

const SEGMENT = BOUNCE_SLOT_SIZE * BOUNCE_SEGMENT_SLOTS;
const LARGEST_POOL = 2 ** 30;

/** The `platform` section of a profile that uses this plugin. */
export interface SevOptions {
  /** Bytes of the bounce pool. */
  readonly pool: number;
  /** Whether the guest was given an emulated IOMMU, which no encrypted guest supports. */
  readonly emulatedIommu: boolean;
}

/** What a profile may write for {@link SevOptions}. */
export interface SevOptionsInput {
  readonly pool?: number | string | undefined;
  readonly emulatedIommu?: boolean | undefined;
}

export const sevOptionsSchema: z.ZodType<SevOptions, SevOptionsInput> = z.strictObject({
  pool: byteSize
    .refine((bytes) => bytes % SEGMENT === 0 && bytes <= LARGEST_POOL, {
      error: 'a bounce pool is a multiple of 256KiB, and at most 1GiB',
    })
    .prefault('1MiB')
    .describe('Shared memory that buffers are copied through: a multiple of 256KiB, at most 1GiB. Default 1MiB.'),
  emulatedIommu: z
    .boolean()
    .default(false)
    .describe('Gives the guest an emulated IOMMU, which an encrypted guest does not support: devices are refused.'),
});
