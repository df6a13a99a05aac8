import type { CaseNeed } from '@virtio-platform/core';
import { featureName, NO_DEVICE_FEATURES } from '@virtio-platform/core/features';

/** The device offers a reserved feature, and a driver may accept it here. */
export function offers(bit: number): CaseNeed {
  const name = featureName(bit, NO_DEVICE_FEATURES);
  return ({ acceptable, offered }) => {
    if (acceptable.has(bit)) return undefined;
    return offered.has(bit) ? `${name} cannot be accepted here` : `the device does not offer ${name}`;
  };
}

/** The first queue takes a ring of `size` entries. */
export function takesRing(size: number): CaseNeed {
  return ({ maxQueueSize }) => {
    const most = maxQueueSize(0);
    return most >= size ? undefined : `its queue 0 has ${most} entries at most, not ${size}`;
  };
}

/** The case makes no sense over a machine, for a reason. */
export function notOver(machine: string, why: string): CaseNeed {
  return (device) => (device.machine === machine ? why : undefined);
}
