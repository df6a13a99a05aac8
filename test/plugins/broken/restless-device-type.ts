import { defineDeviceType } from '@virtio-platform/core';
import entropy from '@virtio-platform/device-entropy';
import { anyDeviceType, withModel } from './changed-device-type.ts';

/** A device type whose device half leaves a timer running after dispose. */
export default defineDeviceType(
  withModel(anyDeviceType(entropy), () => ({ start: () => void setInterval(() => {}, 1000) })),
);
