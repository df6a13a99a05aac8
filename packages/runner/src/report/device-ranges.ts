import type { AddressRange } from '@virtio-platform/core';
import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import type { ComposedRun } from '@virtio-platform/profile';

type Run = Pick<ComposedRun, 'platform' | 'profile' | 'machine'>;

/**
 * The ranges of the platform without interrupts that are none of the device of this run. Throws where a plugin states
 * what is no range.
 */
export function rangesOfDevice(run: Run): readonly AddressRange[] {
  const isBehind = offersAccessPlatform(run);
  return (run.platform.addressRanges ?? []).filter(
    ({ kind, ofEveryDevice = false }) => kind !== 'interrupts' || isBehind || ofEveryDevice,
  );
}

/** The device addresses that are interrupts of the device of this run. Throws as {@link rangesOfDevice} does. */
export function interruptRanges(run: Run): readonly AddressRange[] {
  return rangesOfDevice(run).filter(({ kind }) => kind === 'interrupts');
}

/** A device without a list is asked: an embedded one offers the feature only where it is listed, hardware by itself. */
function offersAccessPlatform({ profile: { device, driver }, machine }: Run): boolean {
  if (device.offers !== undefined) return device.offers.has(VIRTIO_F_ACCESS_PLATFORM);
  if (driver.interface === 'legacy') return false;
  try {
    return machine.transport.readDeviceFeatures().has(VIRTIO_F_ACCESS_PLATFORM);
  } catch {
    // The device is gone, and reaches nothing.
    return false;
  }
}
