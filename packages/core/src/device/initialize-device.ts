import { ContractError, DeviceError } from '../errors/coded-error.ts';
import { describeValue } from '../errors/message-of.ts';
import { FeatureSet } from '../features/feature-set.ts';
import { negotiate } from '../negotiation/negotiate.ts';
import type { NegotiationInput, NegotiationResult, NegotiationRule, Refusal } from '../negotiation/negotiation.ts';
import { DeviceStatus, readDeviceStatus, statusNames } from './device-status.ts';
import { resetDevice } from './reset-device.ts';
import type { Transport } from './transport.ts';

/** What a driver brings to negotiation; the rest is read from the device. */
export interface InitializationOptions extends Omit<NegotiationInput, 'interface' | 'offered' | 'carries'> {
  readonly rules: readonly NegotiationRule[];
}

/**
 * Brings a device to FEATURES_OK: reset, ACKNOWLEDGE, DRIVER, features, FEATURES_OK, and reads it back (specification
 * 1.4 section 3.1.1); on the legacy interface without the last two (section 3.1.2). After any refusal the status is
 * FAILED. The driver then sets up its queues and calls {@link startDevice}.
 */
export function initializeDevice(transport: Transport, options: InitializationOptions): NegotiationResult {
  greetDevice(transport);
  const result = negotiateOrFail(transport, options);
  if (result.refusal === undefined) return confirmFeatures(transport, result);
  addStatus(transport, DeviceStatus.Failed);
  return result;
}

/** Resets a device and sets ACKNOWLEDGE and DRIVER: the steps before negotiation. */
export function greetDevice(transport: Transport): void {
  resetDevice(transport);
  addStatus(transport, DeviceStatus.Acknowledge);
  addStatus(transport, DeviceStatus.Driver);
}

/** Writes what was accepted, sets FEATURES_OK and reads it back. A device that clears it refuses, and gets FAILED. */
export function confirmFeatures(transport: Transport, result: NegotiationResult): NegotiationResult {
  transport.writeDriverFeatures(result.accepted);
  if (transport.interface === 'legacy') return result;
  addStatus(transport, DeviceStatus.FeaturesOk);
  const status = readDeviceStatus(transport);
  if ((status & DeviceStatus.FeaturesOk) !== 0) return result;
  addStatus(transport, DeviceStatus.Failed);
  return refused(result, {
    code: 'ENODEV',
    rule: 'features-ok-read-back',
    reason: `the device refuses the features: it cleared FEATURES_OK (status ${statusNames(status)})`,
    source: 'virtio 1.4 §3.1.1 step 6; Linux virtio_features_ok',
    change: { driver: 'accept a set that the device can work with', device: 'work with any valid subset of its offer' },
    option: undefined,
  });
}

/** A platform rule that throws is a bug in its plugin, and still leaves the device FAILED. */
function negotiateOrFail(transport: Transport, options: InitializationOptions): NegotiationResult {
  const { rules, ...driver } = options;
  const { interface: deviceInterface, carries } = transport;
  const offered = checkFeatures(transport.readDeviceFeatures());
  try {
    return negotiate({ ...driver, interface: deviceInterface, offered, carries }, rules);
  } catch (error) {
    failDevice(transport);
    throw error;
  }
}

function checkFeatures(features: FeatureSet): FeatureSet {
  const value: unknown = features;
  if (typeof value === 'object' && value !== null && 'bits' in value && typeof value.bits === 'bigint') {
    // A machine may have another copy of this package.
    return features instanceof FeatureSet ? features : new FeatureSet(value.bits);
  }
  throw new ContractError('machine', 'readDeviceFeatures', `returned ${describeValue(value)}, not a FeatureSet`);
}

/** Lets the device go: its queues are set up. Sets DRIVER_OK. */
export function startDevice(transport: Transport): void {
  addStatus(transport, DeviceStatus.DriverOk);
}

/** Gives up on a device: sets FAILED, and never hides the reason why by a device that is gone too. */
export function failDevice(transport: Transport): void {
  try {
    addStatus(transport, DeviceStatus.Failed);
  } catch {
    // The reason why is known, and says more.
  }
}

/** What a bus answers for a device that is frozen or unplugged: all ones, a status that no device has. */
const ALL_ONES = 0xff;

/**
 * Throws {@link DeviceError} `ERR_DEVICE_NEEDS_RESET` when the device reported an error it cannot recover from, and
 * `ERR_DEVICE_FROZEN` when its registers read as all ones.
 */
export function checkDevice(transport: Transport): void {
  const status = readDeviceStatus(transport);
  if (status === ALL_ONES) {
    throw new DeviceError(
      'ERR_DEVICE_FROZEN',
      'the status of the device reads as all ones: it is frozen, or not there',
      {
        hint: 'reset it; after an access that was stopped, POWER freezes a device until then (EEH)',
      },
    );
  }
  if ((status & DeviceStatus.NeedsReset) === 0) return;
  throw new DeviceError('ERR_DEVICE_NEEDS_RESET', `the device entered an error state: status ${statusNames(status)}`);
}

/** Status bits are only ever added, except by reset. Section 2.1.1. */
function addStatus(transport: Transport, bit: number): void {
  transport.writeStatus(readDeviceStatus(transport) | bit);
}

function refused(result: NegotiationResult, refusal: Refusal): NegotiationResult {
  const { rule, source, reason } = refusal;
  const last = { rule, source, says: [`refuses: ${reason}`], references: [], decided: [] };
  const trace = [...result.trace, last];
  return { ...result, accepted: FeatureSet.EMPTY, refusal, path: undefined, choice: undefined, trace };
}
