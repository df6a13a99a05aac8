import { byteSize } from '@virtio-platform/options';
import { z } from 'zod';
import type { BlockResize } from './block-device.ts';
import { BLOCK_ID_SIZE, BLOCK_MAX_QUEUES, SECTOR_SIZE } from './layout.ts';

/** The device section of a profile for a block device. */
export interface BlockSettings {
  /** Bytes; a multiple of 512. */
  readonly capacity: number;
  /** Absolute path of a raw image; memory without it. */
  readonly image?: string | undefined;
  readonly readOnly: boolean;
  /** Whether an image of another size than the capacity may be overwritten. */
  readonly overwrite: boolean;
  /** At most 20 bytes of ASCII. */
  readonly serial: string;
  /** Request queues, 1 to 64, of which a driver without BLK_MQ uses one. */
  readonly queues: number;
  readonly resizes: readonly BlockResize[];
}

/** What a profile may write. */
export interface BlockSettingsInput {
  readonly capacity?: number | string | undefined;
  readonly image?: string | undefined;
  readonly readOnly?: boolean | undefined;
  readonly overwrite?: boolean | undefined;
  readonly serial?: string | undefined;
  readonly queues?: number | undefined;
  readonly resizes?: readonly { readonly after: number; readonly capacity: number | string }[] | undefined;
}

/** Bytes of a disk whose profile has no `capacity`. */
const DEFAULT_CAPACITY = 16 * 1024 ** 2;

const capacity = byteSize({ multipleOf: SECTOR_SIZE, minimum: SECTOR_SIZE });

/** The schema of the settings. */
export const BLOCK_SETTINGS: z.ZodType<BlockSettings, BlockSettingsInput> = z
  .strictObject({
    capacity: capacity
      .default(DEFAULT_CAPACITY)
      .describe('Size of the disk, a multiple of 512 bytes; without it 16MiB.'),
    image: z
      .string()
      .min(1)
      .optional()
      .describe('A raw image file, relative to this profile; without it the disk is in memory.'),
    readOnly: z.boolean().default(false).describe('The device refuses writes.'),
    overwrite: z
      .boolean()
      .default(false)
      .describe('An image that is not of this capacity may be overwritten; without it the run fails.'),
    serial: z
      .string()
      .max(BLOCK_ID_SIZE)
      .regex(/^[\x20-\x7e]*$/, 'must be printable ASCII')
      .default('')
      .describe('The identification string: at most 20 ASCII characters.'),
    queues: z.int().min(1).max(BLOCK_MAX_QUEUES).default(1).describe('Request queues, for BLK_MQ; without it 1.'),
    resizes: z
      .array(
        z.strictObject({
          after: z.int().min(1).max(0x7fff_ffff).describe('The number of handled requests after which it happens.'),
          capacity: capacity.describe('Size of the disk from then on.'),
        }),
      )
      .max(100)
      .default([])
      .describe('The disk of the embedded machine gets another size: [{ after: 500, capacity: 32MiB }].'),
  })
  .refine(({ image, readOnly, resizes }) => image === undefined || !readOnly || resizes.length === 0, {
    error: 'the image of a read-only disk keeps its size',
    path: ['resizes'],
  });
