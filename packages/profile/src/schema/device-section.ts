import { FeatureSet, type ExperimentalBits } from '@virtio-platform/core/features';
import { byteSize } from '@virtio-platform/options';
import { z } from 'zod';
import { DEVICE_TYPES, featureBits, featureList } from './device-types.ts';
import type { BlockSection, ConsoleSection, DeviceSection, EntropySection, NetSection } from './profile.ts';

/** Bytes of a sector: a block device is addressed in these. Virtio 1.4 section 5.2.4. */
export const SECTOR = 512;
/** Request queues of a block device. */
const MAX_QUEUES = 64;
/** Bytes of the identification string of a block device. Virtio 1.4 section 5.2.6. */
const MAX_SERIAL = 20;
/** With 15 pairs, the queues of a network device and its control queue are at most 31. */
const MAX_QUEUE_PAIRS = 15;
/** Ports of a console. */
const MAX_PORTS = 31;

/** Bytes of a disk whose profile has no `capacity`. */
export const DEFAULT_CAPACITY: number = 16 * 1024 ** 2;
/** A locally administered address, in the range that QEMU uses. */
const DEFAULT_MAC = '52:54:00:12:34:56';

type Unfilled<Settings> = { readonly [Key in keyof Settings]?: Settings[Key] | undefined };
type SettingsOf<Section> = Omit<Section, 'type' | 'interface' | 'offers'>;

/** The section as its schema gives it: flat, with the settings of every type, and without the defaults of each type. */
export type CheckedDevice = Pick<DeviceSection, 'type' | 'interface'> & {
  readonly offers?: readonly string[] | undefined;
} & Unfilled<
    SettingsOf<BlockSection> & SettingsOf<NetSection> & SettingsOf<ConsoleSection> & SettingsOf<EntropySection>
  >;

const schema = z.strictObject({
  type: z.enum(DEVICE_TYPES).describe('The device type.'),
  interface: z
    .enum(['modern', 'transitional', 'legacy'])
    .default('modern')
    .describe('The interfaces of the device; a transitional device has both.'),
  offers: featureList('The features that the device offers; without it, all that the machine implements.').optional(),
  capacity: byteSize({ multipleOf: SECTOR, minimum: SECTOR })
    .optional()
    .describe('Block: size of the disk, a multiple of 512 bytes; without it 16MiB.'),
  image: z
    .string()
    .min(1)
    .optional()
    .describe('Block: a raw image file, relative to this profile; without it the disk is in memory.'),
  readOnly: z.boolean().optional().describe('Block: the device refuses writes.'),
  overwrite: z
    .boolean()
    .optional()
    .describe('Block: an image that is not of this capacity may be overwritten; without it the run fails.'),
  serial: z
    .string()
    .max(MAX_SERIAL)
    .regex(/^[\x20-\x7e]*$/, 'must be printable ASCII')
    .optional()
    .describe('Block: the identification string: at most 20 ASCII characters.'),
  queues: z.int().min(1).max(MAX_QUEUES).optional().describe('Block: request queues, for BLK_MQ; without it 1.'),
  mac: z
    .string()
    .regex(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i, 'must be six bytes in hexadecimal, such as 52:54:00:12:34:56')
    .optional()
    .describe('Net: the address, in quotes; without it "52:54:00:12:34:56".'),
  queuePairs: z
    .int()
    .min(1)
    .max(MAX_QUEUE_PAIRS)
    .optional()
    .describe('Net: pairs of a receive and a transmit queue, for NET_MQ; without it 1.'),
  columns: z.int().min(1).max(0xffff).optional().describe('Console: characters in a row; without it 80.'),
  rows: z.int().min(1).max(0xffff).optional().describe('Console: rows; without it 25.'),
  ports: z.int().min(1).max(MAX_PORTS).optional().describe('Console: ports, for CONSOLE_MULTIPORT; without it 1.'),
  seed: z
    .int()
    .min(0)
    .max(0xffff_ffff)
    .optional()
    .describe('Entropy: gives the same bytes in every run; without it they are random.'),
});

/** The schema of the section. */
export const DEVICE_SECTION: z.ZodObject<Record<string, z.ZodType>> & z.ZodType<CheckedDevice> = schema;

/** Fills in the defaults of the device's type. `resolveImage` gives the path of an image. */
export function deviceSection(
  checked: CheckedDevice,
  experimental: ExperimentalBits,
  resolveImage: (image: string) => string,
): DeviceSection {
  const { type } = checked;
  const offers = checked.offers && FeatureSet.of(...featureBits(checked.offers, type, experimental));
  const common = { interface: checked.interface, offers };
  switch (type) {
    case 'block': {
      const {
        capacity = DEFAULT_CAPACITY,
        image,
        readOnly = false,
        overwrite = false,
        serial = '',
        queues = 1,
      } = checked;
      const path = image && resolveImage(image);
      return { type, ...common, capacity, image: path, readOnly, overwrite, serial, queues };
    }
    case 'net':
      return { type, ...common, mac: checked.mac ?? DEFAULT_MAC, queuePairs: checked.queuePairs ?? 1 };
    case 'console': {
      const { columns = 80, rows = 25, ports = 1 } = checked;
      return { type, ...common, columns, rows, ports };
    }
    default:
      return { type, ...common, seed: checked.seed };
  }
}
