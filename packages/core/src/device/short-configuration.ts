import { DeviceError } from '../errors/coded-error.ts';

/** The error of an access to `length` bytes of device configuration at `offset` where the device has only `has`. */
export function shortConfiguration(name: string, offset: number, length: number, has: number): DeviceError {
  const what = `bytes ${offset} to ${offset + length - 1} of its configuration`;
  return new DeviceError('ERR_DEVICE_CONFIG', `${name} has ${has} bytes of device configuration, and no ${what}`, {
    hint: 'a device has the fields of every feature that it offers (virtio 1.4 §2.5.1)',
  });
}
