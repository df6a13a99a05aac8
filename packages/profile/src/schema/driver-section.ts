import { FeatureSet, type ExperimentalBits } from '@virtio-platform/core/features';
import { featureBits } from './device-types.ts';
import type { DriverSection } from './profile.ts';
import type { CheckedProfile } from './profile-schema.ts';
/** Fills in what the profile leaves to the driver. */
export function driverSection({ device, driver }: CheckedProfile, experimental: ExperimentalBits): DriverSection {
  const features = (names: readonly string[]): FeatureSet =>
    FeatureSet.of(...featureBits(names, device.type, experimental));
  return {
    privilege: driver.privilege,
    interface: driver.interface ?? (device.interface === 'legacy' ? 'legacy' : 'modern'),
    buffers: driver.buffers,
    timeoutMs: driver.timeout,
    sanitize: driver.sanitize,
    lacks: features(driver.lacks ?? []),
    clears: features(driver.clears ?? []),
    forces: driver.forces && features(driver.forces),
  };
}
