import { ContractError } from '../errors/coded-error.ts';
import { describeValue } from '../errors/message-of.ts';
import type { Transport } from './transport.ts';

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

/** Reads the status of a device. Throws {@link ContractError} where the machine's transport gives no byte. */
export function readDeviceStatus(transport: Pick<Transport, 'readStatus'>): number {
  const status = transport.readStatus();
  if ((status & 0xff) === status) return status;
  throw new ContractError('machine', 'readStatus', `returned ${describeValue(status)}, not a status of 8 bits`);
}

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
