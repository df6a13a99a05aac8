import { DeviceError } from '@virtio-platform/core';
import type { SimulatedDevice } from './simulated-device.ts';

/** The device, as long as it is there. Throws {@link DeviceError} `ERR_DEVICE_LOST` once it is gone. */
export function presentDevice(device: SimulatedDevice): SimulatedDevice {
  if (!device.isLost) return device;
  throw new DeviceError('ERR_DEVICE_LOST', `the device is gone: ${device.whyLost}`, {
    hint: 'look at the faults of the report; machine.onFault says what a device does after one',
  });
}
