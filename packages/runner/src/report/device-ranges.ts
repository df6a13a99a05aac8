import type { AddressRange } from '@virtio-platform/core';
import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import type { ComposedRun, Profile } from '@virtio-platform/profile';

type Run = Pick<ComposedRun, 'platform' | 'profile'>;

/**
 * The ranges of the platform without interrupts that are none of the device of this run. Throws where a plugin states
 * what is no range.
 */
export function rangesOfDevice({ platform, profile }: Run): readonly AddressRange[] {
  const isBehind = offersAccessPlatform(profile);
  return (platform.addressRanges ?? []).filter(
    ({ kind, ofEveryDevice = false }) => kind !== 'interrupts' || isBehind || ofEveryDevice,
  );
}

/** The device addresses that are interrupts of the device of this run. Throws as {@link rangesOfDevice} does. */
export function interruptRanges(run: Run): readonly AddressRange[] {
  return rangesOfDevice(run).filter(({ kind }) => kind === 'interrupts');
}

/** A device without a list offers all that its machine implements, which only the modern interface has bits for. */
function offersAccessPlatform({ device, driver }: Profile): boolean {
  return device.offers?.has(VIRTIO_F_ACCESS_PLATFORM) ?? driver.interface === 'modern';
}
