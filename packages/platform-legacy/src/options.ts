import { BOUNCE_SEGMENT_SIZE } from '@virtio-platform/core/dma';
import { byteSize } from '@virtio-platform/options';
import { z } from 'zod';

const LARGEST_POOL = 2 ** 36;

/** The `platform` section of a profile that uses this plugin. */
export interface LegacyOptions {
  readonly guestEndian: 'little' | 'big';
  /** Bytes of the pool that buffers beyond the mask of the device are copied through. */
  readonly pool: number;
  /** Bytes that the pool may grow to. */
  readonly poolLimit: number;
}

/** What a profile may write for {@link LegacyOptions}. */
export interface LegacyOptionsInput {
  readonly guestEndian?: 'little' | 'big' | undefined;
  readonly pool?: number | string | undefined;
  readonly poolLimit?: number | string | undefined;
}

/** The schema of the options of the platform. */
export const legacyOptionsSchema: z.ZodType<LegacyOptions, LegacyOptionsInput> = z
  .strictObject({
    guestEndian: z
      .enum(['little', 'big'])
      .default('little')
      .describe('Byte order of the guest, and so of the rings of a legacy device.'),
    pool: byteSize({ multipleOf: BOUNCE_SEGMENT_SIZE, maximum: LARGEST_POOL })
      .prefault('1MiB')
      .describe(
        'With device.dmaBits: memory below the mask that buffers beyond it are copied through, a multiple of 256KiB. ' +
          'Default 1MiB.',
      ),
    poolLimit: byteSize({ multipleOf: BOUNCE_SEGMENT_SIZE, maximum: LARGEST_POOL })
      .optional()
      .describe(
        'Bytes that all pools may have together, where one is added when it is full. Default: as many as pool.',
      ),
  })
  .transform((options) => ({ ...options, poolLimit: options.poolLimit ?? options.pool }))
  .refine(({ pool, poolLimit }) => poolLimit >= pool, {
    path: ['poolLimit'],
    error: 'is at least as large as platform.pool, which it limits',
  });
