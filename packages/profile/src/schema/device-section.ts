import type { DeviceTypePlugin } from '@virtio-platform/core';
import { FeatureSet, type ExperimentalBits } from '@virtio-platform/core/features';
import type { Misbehavior } from '@virtio-platform/core/failure';
import { duration, failureSchedule, failureTimes, lowBitsMask } from '@virtio-platform/options';
import { z } from 'zod';
import { featureBits, featureList, type DeviceVocabulary } from './device-vocabulary.ts';
import type { DeviceSection, PluginUse } from './profile.ts';

/** The section as its schema gives it, without the settings of the type: those are checked by the type's schema. */
export interface CheckedDevice {
  /** One of the two names the type. */
  readonly type?: string | undefined;
  readonly use?: string | undefined;
  readonly interface: DeviceSection['interface'];
  readonly offers?: readonly string[] | undefined;
  readonly misbehaves?: Misbehavior | undefined;
  readonly dmaBits: number;
  readonly minAlignMask: number;
}

/** Fewer bits leave no room for a ring and a pool of 1 MiB. */
const LEAST_BITS = 22;

const misbehavior = z.strictObject({
  late: z
    .strictObject({
      ...failureTimes,
      by: duration({ minimum: 1 }).exactOptional().describe('How late; 10ms unless given.'),
    })
    .exactOptional()
    .describe('Buffers come back later than they could: { every: 20, by: 5ms }.'),
  reordered: failureSchedule.exactOptional().describe('Buffers come back behind the next one of their queue.'),
  short: failureSchedule.exactOptional().describe('The device says that it wrote half of what it wrote to a buffer.'),
  lies: failureSchedule.exactOptional().describe('The device says that it wrote more than a buffer has room for.'),
  errors: failureSchedule.exactOptional().describe('Requests fail with the error of the type, such as IOERR.'),
  silent: failureSchedule.exactOptional().describe('Notifications that the driver wants are not sent.'),
  needsReset: failureSchedule.exactOptional().describe('With this buffer the device asks for a reset: { nth: [100] }.'),
  configChanges: failureSchedule.exactOptional().describe('With this buffer it tells of a changed configuration.'),
  dies: failureSchedule.exactOptional().describe('With this buffer the device is gone for good: { nth: [500] }.'),
});

/** The schema of the keys that every device has. */
export function deviceSchema(vocabulary: DeviceVocabulary): z.ZodObject<Record<string, z.ZodType>> {
  return z.looseObject({
    type: z
      .custom<string>((name) => typeof name === 'string' && name !== '', 'must be the name of a device type')
      .meta({ type: 'string', minLength: 1 })
      .optional()
      .describe('The device type: the short name of a plugin, such as block. Other keys are settings of the type.'),
    use: z
      .string()
      .min(1)
      .optional()
      .describe('In place of `type`: the package of a device type, or a path that starts with ./ or ../'),
    interface: z
      .enum(['modern', 'transitional', 'legacy'])
      .default('modern')
      .describe('The interfaces of the device; a transitional device has both.'),
    offers: featureList(
      'The features that the device offers; without it, all that the machine implements.',
      vocabulary,
    ).optional(),
    dmaBits: z
      .int()
      .min(LEAST_BITS)
      .max(64)
      .default(64)
      .describe(
        'Bits of the addresses that the device takes (dma_set_mask): 24, 32, 40. What lies beyond is copied, or ' +
          'mapped below. Default 64.',
      ),
    minAlignMask: lowBitsMask.describe(
      'Low bits of its address that the copy of a buffer keeps, as the device needs (dma_set_min_align_mask): 0xfff. ' +
        'Default 0.',
    ),
    misbehaves: misbehavior
      .optional()
      .describe(
        'What the device does wrong on purpose: { short: { every: 50 } }. Of the embedded machine, and of `serve`.',
      ),
  });
}

/** A device type that is loaded, with the settings of the profile. */
export interface TypedDevice {
  /** How the profile names the type. */
  readonly use: PluginUse;
  readonly type: DeviceTypePlugin;
  /** The URL of its module. */
  readonly module: string;
  readonly settings: unknown;
}

/** The section with its type and with feature bits. */
export function deviceSection(
  checked: CheckedDevice,
  { use, type, module, settings }: TypedDevice,
  experimental: ExperimentalBits,
): DeviceSection {
  const offers = checked.offers && FeatureSet.of(...featureBits(checked.offers, type.features, experimental));
  const { misbehaves, dmaBits: addressBits, minAlignMask } = checked;
  const addressing = { addressBits, minAlignMask };
  return { use, type, module, interface: checked.interface, offers, misbehaves, addressing, settings };
}
