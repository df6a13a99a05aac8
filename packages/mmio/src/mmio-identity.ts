import { DeviceError } from '@virtio-platform/core';
import type { DeviceInterface } from '@virtio-platform/core/device';
import { MMIO, MMIO_MAGIC, MMIO_VERSION_LEGACY, MMIO_VERSION_MODERN, type MmioRegisters } from './mmio-registers.ts';

/** What the first registers of a window say of its device. */
export interface MmioIdentity {
  /** The interface of the device: it has one, which its Version states. */
  readonly interface: DeviceInterface;
  /** The number of the device type (specification 1.4 section 5). */
  readonly deviceId: number;
}

/**
 * Reads who is behind a window of registers, in the order of specification 1.4 section 4.2.3.1.1. `undefined` for a
 * slot without a device, whose DeviceID is 0: no other register of it may be accessed. Throws {@link DeviceError}
 * `ERR_DEVICE_CONFIG` for a window that is no virtio device, or has a version that does not exist.
 */
export function identifyMmioDevice(registers: MmioRegisters): MmioIdentity | undefined {
  const { name, size } = registers;
  if (size < MMIO.Config)
    throw new DeviceError('ERR_DEVICE_CONFIG', `${name} has ${size} bytes of registers, fewer than ${MMIO.Config}`);
  const magic = registers.read(MMIO.MagicValue, 4);
  if (magic !== MMIO_MAGIC) {
    const problem = `${name} is no virtio-mmio device: its MagicValue is ${hex(magic)}, not ${hex(MMIO_MAGIC)}`;
    throw new DeviceError('ERR_DEVICE_CONFIG', problem, { hint: 'look up the address of its registers' });
  }
  const version = registers.read(MMIO.Version, 4);
  if (version !== MMIO_VERSION_MODERN && version !== MMIO_VERSION_LEGACY) {
    const problem = `${name} has version ${version} of virtio-mmio; ${MMIO_VERSION_LEGACY} and ${MMIO_VERSION_MODERN} exist`;
    throw new DeviceError('ERR_DEVICE_CONFIG', problem);
  }
  const deviceId = registers.read(MMIO.DeviceID, 4);
  return deviceId === 0 ? undefined : { interface: version === MMIO_VERSION_LEGACY ? 'legacy' : 'modern', deviceId };
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
