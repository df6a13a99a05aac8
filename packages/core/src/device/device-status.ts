/** The device status field. Specification 1.4 section 2.1. */
export const DeviceStatus = {
  Acknowledge: 1,
  Driver: 2,
  DriverOk: 4,
  FeaturesOk: 8,
  /** Only with the feature SUSPEND; the device then clears DRIVER_OK. Section 3.4. */
  Suspend: 16,
  NeedsReset: 64,
  Failed: 128,
} as const;

/** Names the bits of a status, for messages: `ACKNOWLEDGE|DRIVER`. */
export function statusNames(status: number): string {
  const names: [number, string][] = [
    [DeviceStatus.Acknowledge, 'ACKNOWLEDGE'],
    [DeviceStatus.Driver, 'DRIVER'],
    [DeviceStatus.FeaturesOk, 'FEATURES_OK'],
    [DeviceStatus.DriverOk, 'DRIVER_OK'],
    [DeviceStatus.Suspend, 'SUSPEND'],
    [DeviceStatus.NeedsReset, 'DEVICE_NEEDS_RESET'],
    [DeviceStatus.Failed, 'FAILED'],
  ];
  const set = names.filter(([bit]) => (status & bit) !== 0).map(([, name]) => name);
  return set.length === 0 ? 'reset' : set.join('|');
}
