import { confirmFeatures, greetDevice, type Transport } from '@virtio-platform/core/device';
import type { FeatureSet } from '@virtio-platform/core/features';
import { REFERENCES, type NegotiationResult } from '@virtio-platform/core/negotiation';

const RULE = 'hostile-driver-keeps-no-rules';
const SOURCE =
  'driver.forces of the profile; mail: Tsirkin, 2019-06-03 (the driver itself writes the feature registers)';

/**
 * Brings a device to FEATURES_OK as a driver that keeps no rules: it writes what it likes and goes on with physical
 * addresses. Whatever stops it is the device, or what stands between the device and memory.
 */
export function forceFeatures(transport: Transport, features: FeatureSet): NegotiationResult {
  greetDevice(transport);
  const says = ['writes what the profile says, whatever is offered, and passes physical addresses'];
  return confirmFeatures(transport, {
    offered: transport.readDeviceFeatures(),
    accepted: features,
    decisions: [],
    refusal: undefined,
    path: 'physical',
    choice: { path: 'physical', rule: RULE, source: SOURCE, reason: says[0]!, option: 'driver.forces' },
    trace: [{ rule: RULE, source: SOURCE, says, references: [REFERENCES['tsirkin-2019-06-03']], decided: [] }],
  });
}
