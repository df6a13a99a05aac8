import { FeatureSet, type ExperimentalBits, type FeatureTable } from '@virtio-platform/core/features';
import { DRIVER_PRIVILEGES } from '@virtio-platform/core/negotiation';
import { duration } from '@virtio-platform/options';
import { z } from 'zod';
import type { CheckedDevice } from './device-section.ts';
import { featureBits, featureList, type DeviceVocabulary } from './device-vocabulary.ts';
import type { DriverSection } from './profile.ts';

/** A day. */
const MAX_TIMEOUT_MS = 24 * 60 * 60 * 1000;

/** The section as its schema gives it: with names of features, and without the default of `interface`. */
export type CheckedDriver = Pick<DriverSection, 'privilege' | 'buffers' | 'sanitize'> & {
  readonly interface?: DriverSection['interface'] | undefined;
  readonly usedLength?: DriverSection['usedLength'];
  /** Milliseconds. */
  readonly timeout: number;
  readonly lacks?: readonly string[] | undefined;
  readonly clears?: readonly string[] | undefined;
  readonly forces?: readonly string[] | undefined;
};

/** The schema of the section. */
export function driverSchema(vocabulary: DeviceVocabulary): z.ZodObject<Record<string, z.ZodType>> {
  return z.strictObject({
    privilege: z
      .enum(DRIVER_PRIVILEGES)
      .default('kernel')
      .describe('The author of the descriptors: the kernel, or a process with or without an IOMMU that confines it.'),
    interface: z
      .enum(['modern', 'legacy'])
      .optional()
      .describe('The interface that the driver uses; modern, unless the device is legacy.'),
    buffers: z
      .enum(['premapped', 'streaming', 'coherent'])
      .default('premapped')
      .describe('Map buffers once for all requests, or for each request, or place them in coherent memory.'),
    timeout: duration({ maximum: MAX_TIMEOUT_MS })
      .prefault('5s')
      .describe(
        'The time without a completed request that a device may take, and for the reset at the end (1s to 5s): 5s.',
      ),
    usedLength: z
      .enum(['strict', 'clamp', 'ignore'])
      .optional()
      .describe(
        'A used length beyond the writable part breaks the queue, is cut, or counts as all of it. Without it strict, and on the legacy interface what the device type needs.',
      ),
    lacks: featureList('Features that this driver does not know, like an old driver.', vocabulary).optional(),
    clears: featureList(
      'Features that the driver withdraws last, as the balloon driver does with ACCESS_PLATFORM.',
      vocabulary,
    ).optional(),
    forces: featureList(
      'A hostile driver: writes exactly these features against the rules, and passes physical addresses.',
      vocabulary,
    ).optional(),
    sanitize: z
      .boolean()
      .default(false)
      .describe('Find the DMA mistakes of the driver, which real devices hide; much slower.'),
  });
}

/** Fills in the interface, and turns names of features into bits. */
export function driverSection(
  driver: CheckedDriver,
  device: CheckedDevice,
  ofType: FeatureTable,
  experimental: ExperimentalBits,
): DriverSection {
  const features = (names: readonly string[]): FeatureSet => FeatureSet.of(...featureBits(names, ofType, experimental));
  return {
    privilege: driver.privilege,
    interface: driver.interface ?? (device.interface === 'legacy' ? 'legacy' : 'modern'),
    buffers: driver.buffers,
    timeoutMs: driver.timeout,
    sanitize: driver.sanitize,
    usedLength: driver.usedLength,
    lacks: features(driver.lacks ?? []),
    clears: features(driver.clears ?? []),
    forces: driver.forces && features(driver.forces),
  };
}
