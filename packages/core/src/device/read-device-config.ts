import { DeviceError } from '../errors/coded-error.ts';
import type { Transport } from './transport.ts';

/** How often a changing configuration is read again before the device is given up. */
const MAX_TRIES = 64;

/**
 * Reads `length` bytes of device configuration that belong together: again until the generation stayed the same
 * (specification 1.4 section 2.5.1), and on the legacy interface, which has none, until two reads are equal (section
 * 2.5.4). Throws {@link DeviceError} `ERR_DEVICE_CONFIG_UNSTABLE`.
 */
export function readDeviceConfig(transport: Transport, offset: number, length: number): DataView {
  const bytes = new Uint8Array(length);
  const again = new Uint8Array(length);
  for (let i = 0; i < MAX_TRIES; i++) {
    const before = transport.configGeneration();
    transport.readConfig(offset, bytes);
    const isWhole = transport.configGeneration() === before;
    if (isWhole && transport.interface === 'modern') return new DataView(bytes.buffer);
    transport.readConfig(offset, again);
    if (isWhole && bytes.every((byte, at) => byte === again[at])) return new DataView(bytes.buffer);
  }
  throw new DeviceError('ERR_DEVICE_CONFIG_UNSTABLE', `the configuration changed during each of ${MAX_TRIES} reads`);
}
