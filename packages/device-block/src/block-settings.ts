import { byteSize, powerOfTwo } from '@virtio-platform/options';
import { z } from 'zod';
import type { BlockDeviceOptions } from './block-options.ts';
import { MOST_TAKEN_RANGES } from './block-executor.ts';
import { BLOCK_ID_SIZE, BLOCK_MAX_QUEUES, SECTOR_SIZE } from './layout.ts';

/** The device section of a profile for a block device. */
export interface BlockSettings extends Omit<BlockDeviceOptions, 'queueSize' | 'byteOrder'> {
  /** Bytes; a multiple of 512 and of the block size. */
  readonly capacity: number;
  /** Absolute path of a raw image; memory without it. */
  readonly image?: string | undefined;
  /** Entries of each queue at most; `undefined`: as many as the device has by itself. */
  readonly queueSize?: number | undefined;
  /** Whether an image of another size than the capacity may be overwritten. */
  readonly overwrite: boolean;
}

/** Bytes, or a number with a unit: `4KiB`. */
type Size = number | string;

/** Settings that a profile may leave out. */
type Written<Settings> = { readonly [Key in keyof Settings]?: Settings[Key] | undefined };

/** What a profile may write. */
export interface BlockSettingsInput extends Written<
  Omit<BlockSettings, 'capacity' | 'blockSize' | 'topology' | 'sizeMax' | 'resizes'>
> {
  readonly capacity?: Size | undefined;
  readonly blockSize?: Size | undefined;
  readonly topology?:
    | {
        readonly physicalBlockSize?: Size | undefined;
        readonly alignmentOffset?: Size | undefined;
        readonly minIoSize?: Size | undefined;
        readonly optIoSize?: Size | undefined;
      }
    | undefined;
  readonly sizeMax?: Size | undefined;
  readonly resizes?: readonly { readonly after: number; readonly capacity: Size }[] | undefined;
}

/** Bytes of a disk whose profile has no `capacity`. */
const DEFAULT_CAPACITY = 16 * 1024 ** 2;
/** Largest blocks, as of QEMU's disks. */
const MOST_BLOCK_SIZE = 2 * 1024 ** 2;
const MOST_32_BITS = 0xffff_ffff;
/** The smallest queue of QEMU's disk. */
const LEAST_QUEUE_SIZE = 4;
/** Of either layout (specification 1.4 sections 2.7 and 2.8). */
const MOST_QUEUE_SIZE = 32_768;

const capacity = byteSize({ multipleOf: SECTOR_SIZE, minimum: SECTOR_SIZE });
const blockSize = byteSize({ powerOfTwo: true, minimum: SECTOR_SIZE, maximum: MOST_BLOCK_SIZE });
const hintSize = byteSize({ minimum: 0, multipleOf: SECTOR_SIZE, maximum: MOST_32_BITS });
const number32 = z.int().min(1).max(MOST_32_BITS);

const maxSectors = number32.optional().describe('The most sectors of 512 bytes of one range.');
const maxSegments = z.int().min(1).max(MOST_TAKEN_RANGES).optional().describe('The most ranges of one request.');
const alignment = number32
  .optional()
  .describe('A driver cuts long requests at multiples of so many sectors; without it at any block.');
const rangeLimits = z.union([z.boolean(), z.strictObject({ maxSectors, maxSegments, alignment })]);
const zeroLimits = z.union([
  z.boolean(),
  z.strictObject({
    maxSectors,
    maxSegments,
    mayUnmap: z.boolean().optional().describe('The device says that it may deallocate; without it true.'),
  }),
]);

const topology = z.strictObject({
  physicalBlockSize: blockSize.optional().describe('A power of two, at least blockSize; without it blockSize.'),
  alignmentOffset: hintSize.optional().describe('Where the first physical block begins.'),
  minIoSize: hintSize.optional().describe('The suggested least length of a request.'),
  optIoSize: hintSize.optional().describe('The suggested best length of a request.'),
});

const resizes = z
  .array(
    z.strictObject({
      after: z.int().min(1).max(0x7fff_ffff).describe('The number of handled requests after which it happens.'),
      capacity: capacity.describe('Size of the disk from then on.'),
    }),
  )
  .max(100)
  .default([])
  .describe('The disk of the embedded machine gets another size: [{ after: 500, capacity: 32MiB }].');

/** The schema of the settings. */
export const BLOCK_SETTINGS: z.ZodType<BlockSettings, BlockSettingsInput> = z
  .strictObject({
    capacity: capacity
      .default(DEFAULT_CAPACITY)
      .describe('Size of the disk, a multiple of 512 bytes and of blockSize; without it 16MiB.'),
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
    queueSize: powerOfTwo(MOST_QUEUE_SIZE)
      .refine((size) => size >= LEAST_QUEUE_SIZE, { error: `must be at least ${LEAST_QUEUE_SIZE}` })
      .optional()
      .describe('Entries that a queue can have, a power of two, 4 to 32768; without it 1024, and of QEMU 256.'),
    blockSize: blockSize
      .default(SECTOR_SIZE)
      .describe('Bytes of a logical block, a power of two, 512 to 2MiB, of which Linux takes 64KiB; without it 512.'),
    topology: topology.optional().describe('How the disk likes its requests, in bytes: multiples of blockSize.'),
    geometry: z
      .strictObject({
        cylinders: z.int().min(0).max(0xffff).describe('Cylinders.'),
        heads: z.int().min(0).max(0xff).describe('Heads.'),
        sectors: z.int().min(0).max(0xff).describe('Sectors of a track.'),
      })
      .optional()
      .describe('Disk-style geometry, for BLK_GEOMETRY; without it none is offered.'),
    sizeMax: byteSize({ maximum: MOST_32_BITS })
      .optional()
      .describe('Bytes of the longest segment, for BLK_SIZE_MAX; without it no limit is offered.'),
    segMax: z
      .int()
      .min(1)
      .max(0xffff)
      .optional()
      .describe('The most data segments of a request; without it as many as the queue has room for.'),
    writeback: z.boolean().default(true).describe('The cache is write-back at first; with false write-through.'),
    discard: rangeLimits.default(true).describe('Discards, for BLK_DISCARD: false, or their limits; without it true.'),
    writeZeroes: zeroLimits
      .default(true)
      .describe('Writes of zeroes, for BLK_WRITE_ZEROES: false, or their limits; without it true.'),
    secureErase: rangeLimits
      .default(false)
      .describe('Secure erases, for BLK_SECURE_ERASE: true, or their limits; without it false.'),
    lifetime: z
      .strictObject({
        preEolInfo: z.int().min(0).max(3).describe('Reserved blocks used up: 0 unknown, 1 normal, 2 80 %, 3 90 %.'),
        typA: z.int().min(0).max(11).describe('Wear of SLC cells in steps of 10 %; 0 unknown.'),
        typB: z.int().min(0).max(11).describe('Wear of MLC cells in steps of 10 %; 0 unknown.'),
      })
      .optional()
      .describe('What the disk says of its lifetime, for BLK_LIFETIME; without it nothing.'),
    resizes,
  })
  .superRefine((settings, context) => {
    for (const [path, message] of problems(settings)) context.addIssue({ code: 'custom', message, path: [...path] });
  });

/** What is wrong with settings that are right by themselves, each with the path to its key. */
function* problems(settings: BlockSettings): Generator<readonly [readonly (string | number)[], string]> {
  const { capacity: bytes, blockSize: block = SECTOR_SIZE, image, readOnly, resizes: sizes = [] } = settings;
  const notWhole = (value: number | undefined): boolean => value !== undefined && value % block !== 0;
  const multiple = `must be a multiple of blockSize, ${block} bytes`;
  if (notWhole(bytes)) yield [['capacity'], multiple];
  for (const [i, resize] of sizes.entries())
    if (notWhole(resize.capacity)) yield [['resizes', i, 'capacity'], multiple];
  if (image !== undefined && readOnly && sizes.length > 0)
    yield [['resizes'], 'the image of a read-only disk keeps its size'];
  const { physicalBlockSize = block, alignmentOffset = 0, minIoSize, optIoSize } = settings.topology ?? {};
  if (physicalBlockSize < block)
    yield [['topology', 'physicalBlockSize'], `must be at least blockSize, ${block} bytes`];
  if (notWhole(alignmentOffset)) yield [['topology', 'alignmentOffset'], multiple];
  else if (alignmentOffset >= physicalBlockSize && alignmentOffset > 0)
    yield [['topology', 'alignmentOffset'], 'must be less than physicalBlockSize'];
  else if (alignmentOffset > 0xff * block) yield [['topology', 'alignmentOffset'], 'must be at most 255 blocks'];
  if (notWhole(minIoSize)) yield [['topology', 'minIoSize'], multiple];
  else if (minIoSize !== undefined && minIoSize > 0xffff * block)
    yield [['topology', 'minIoSize'], 'must be at most 65,535 blocks'];
  if (notWhole(optIoSize)) yield [['topology', 'optIoSize'], multiple];
}
