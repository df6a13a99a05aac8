import { byteSize } from '@virtio-platform/options';
import { z } from 'zod';
import { SCSI_MAX_LUN, SCSI_MAX_QUEUES, SCSI_MAX_TARGET } from './layout.ts';
import { unitKey } from './scsi-lun.ts';

/** A disk of the device section: a logical unit of a target. */
export interface ScsiDiskSettings {
  /** 0 to 255. */
  readonly target: number;
  /** 0 to 16383. */
  readonly lun: number;
  /** Bytes; a multiple of the block size. */
  readonly capacity: number;
  /** Bytes of a logical block: 512 or 4096. */
  readonly blockSize: number;
  /** Absolute path of a raw image; memory without it. */
  readonly image?: string | undefined;
  readonly readOnly: boolean;
  /** Whether an image of another size than the capacity may be overwritten. */
  readonly overwrite: boolean;
  /** At most 36 bytes of ASCII. */
  readonly serial: string;
  /** Whether it is there from the start. */
  readonly plugged: boolean;
}

/** Something that happens to a disk of the embedded device while it is used. */
export interface ScsiChange {
  /** The number of handled commands after which it happens. */
  readonly after: number;
  /** It disappears, appears, gets another capacity, or is reset. */
  readonly do: 'unplug' | 'plug' | 'resize' | 'reset';
  readonly target: number;
  readonly lun: number;
  /** Of `resize`: bytes. */
  readonly capacity?: number | undefined;
}

/** Commands that the embedded device takes its time for. */
export interface ScsiSlowness {
  /** Each so many-th command. */
  readonly every: number;
  /** Milliseconds. */
  readonly delay: number;
}

/** The device section of a profile for a SCSI host. */
export interface ScsiSettings {
  /** At least one. */
  readonly disks: readonly ScsiDiskSettings[];
  /** Request queues, 1 to 64. */
  readonly queues: number;
  readonly changes: readonly ScsiChange[];
  readonly slow?: ScsiSlowness | undefined;
}

/** What a profile may write. */
export interface ScsiSettingsInput {
  readonly disks?:
    | readonly {
        readonly target?: number | undefined;
        readonly lun?: number | undefined;
        readonly capacity?: number | string | undefined;
        readonly blockSize?: number | string | undefined;
        readonly image?: string | undefined;
        readonly readOnly?: boolean | undefined;
        readonly overwrite?: boolean | undefined;
        readonly serial?: string | undefined;
        readonly plugged?: boolean | undefined;
      }[]
    | undefined;
  readonly queues?: number | undefined;
  readonly changes?:
    | readonly {
        readonly after: number;
        readonly do: ScsiChange['do'];
        readonly target?: number | undefined;
        readonly lun?: number | undefined;
        readonly capacity?: number | string | undefined;
      }[]
    | undefined;
  readonly slow?: ScsiSlowness | undefined;
}

/** Bytes of a disk whose profile has no `capacity`. */
const DEFAULT_CAPACITY = 16 * 1024 ** 2;
/** Longest serial number that QEMU's disks take. */
const SERIAL_SIZE = 36;
const MOST_DISKS = 64;

const target = z.int().min(0).max(SCSI_MAX_TARGET).default(0).describe('The target, 0 to 255; without it 0.');
const lun = z.int().min(0).max(SCSI_MAX_LUN).default(0).describe('The logical unit of the target; without it 0.');

const disk = z
  .strictObject({
    target,
    lun,
    capacity: byteSize({ multipleOf: 512, minimum: 4096 })
      .default(DEFAULT_CAPACITY)
      .describe('Size of the disk, a multiple of its blocks; without it 16MiB.'),
    blockSize: byteSize()
      .refine((size) => size === 512 || size === 4096, 'must be 512B or 4KiB')
      .default(512)
      .describe('Bytes of a logical block: 512 or 4096; without it 512.'),
    image: z
      .string()
      .min(1)
      .optional()
      .describe('A raw image file, relative to this profile; without it the disk is in memory.'),
    readOnly: z.boolean().default(false).describe('The disk is write-protected.'),
    overwrite: z
      .boolean()
      .default(false)
      .describe('An image that is not of this capacity may be overwritten; without it the run fails.'),
    serial: z
      .string()
      .max(SERIAL_SIZE)
      .regex(/^[\x21-\x7e]*$/, 'must be printable ASCII without spaces')
      .default('')
      .describe('The serial number: at most 36 ASCII characters.'),
    plugged: z
      .boolean()
      .default(true)
      .describe('Whether the disk is there from the start; without it one of `changes` plugs it in.'),
  })
  .refine(({ capacity, blockSize }) => capacity % blockSize === 0, {
    error: 'must be a multiple of blockSize',
    path: ['capacity'],
  });

const change = z
  .strictObject({
    after: z.int().min(1).max(0x7fff_ffff).describe('The number of handled commands after which it happens.'),
    do: z
      .enum(['unplug', 'plug', 'resize', 'reset'])
      .describe('The disk disappears, appears, gets another capacity, or is reset.'),
    target,
    lun,
    capacity: byteSize({ multipleOf: 4096, minimum: 4096 })
      .optional()
      .describe('With resize: size of the disk from then on, a multiple of 4096 bytes.'),
  })
  .refine((given) => (given.do === 'resize') === (given.capacity !== undefined), {
    error: 'belongs to resize, and resize has one',
    path: ['capacity'],
  });

/** The schema of the settings. */
export const SCSI_SETTINGS: z.ZodType<ScsiSettings, ScsiSettingsInput> = z
  .strictObject({
    disks: z
      .array(disk)
      .min(1)
      .max(MOST_DISKS)
      .prefault([{}])
      .describe('The disks: [{ target: 0, lun: 1, capacity: 32MiB }]; without it one, target 0, unit 0.'),
    queues: z.int().min(1).max(SCSI_MAX_QUEUES).default(1).describe('Request queues; without it 1.'),
    changes: z
      .array(change)
      .max(100)
      .default([])
      .describe('What happens to disks of the embedded machine: [{ after: 500, do: unplug, lun: 1 }].'),
    slow: z
      .strictObject({
        every: z.int().min(1).max(1_000_000).describe('Each so many-th command is answered late.'),
        delay: z.int().min(1).max(1000).describe('By so many milliseconds.'),
      })
      .optional()
      .describe('Commands that the embedded device takes its time for, so that there is something to abort.'),
  })
  .superRefine(({ disks, changes }, context) => {
    const known = new Map<number, ScsiDiskSettings>();
    for (const [index, given] of disks.entries()) {
      const key = unitKey(given.target, given.lun);
      if (known.has(key)) {
        const message = `target ${given.target} has a logical unit ${given.lun} already`;
        context.addIssue({ code: 'custom', message, path: ['disks', index, 'lun'] });
      }
      known.set(key, given);
    }
    for (const [index, given] of changes.entries()) {
      const changed = known.get(unitKey(given.target, given.lun));
      const path = ['changes', index];
      if (changed === undefined) {
        const message = `there is no disk with target ${given.target} and logical unit ${given.lun}`;
        context.addIssue({ code: 'custom', message, path });
      } else if (given.do === 'resize' && changed.image !== undefined && changed.readOnly)
        context.addIssue({ code: 'custom', message: 'the image of a read-only disk keeps its size', path });
    }
  });
