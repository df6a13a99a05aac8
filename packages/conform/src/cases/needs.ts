import { offersFeature, type CaseNeed } from '@virtio-platform/core';
import { NO_DEVICE_FEATURES } from '@virtio-platform/core/features';

/** The device offers a reserved feature, and a driver may accept it here. */
export function offers(bit: number): CaseNeed {
  return offersFeature(bit, NO_DEVICE_FEATURES);
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
