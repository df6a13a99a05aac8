import { DeviceError, type DeviceDescription } from '@virtio-platform/core';
import { virtioDeviceName, type Transport } from '@virtio-platform/core/device';
import { FeatureSet, transportCarries, type TransportKind } from '@virtio-platform/core/features';
import { PCI_DEVICE_ID, PCI_SUBSYSTEM_ID, PCI_VENDOR_ID } from './configuration-space.ts';
import type { PciFunction } from './pci-function.ts';

const VIRTIO_VENDOR = 0x1af4;
const FIRST_TRANSITIONAL = 0x1000;
const FIRST_MODERN = 0x1040;
const LAST_MODERN = 0x107f;

/** The device type and interface that the ids of a PCI function state. */
export interface DeviceIdentity {
  /** The number of the device type (specification 1.4 section 5). */
  readonly deviceId: number;
  /** Whether the function has the legacy interface, alone or beside the modern one. Its device id is below 0x1040. */
  readonly isTransitional: boolean;
}

/**
 * The identity that the ids of a PCI function state (specification 1.4 section 4.1.2). The device id of a modern
 * function states its type, the subsystem id of a transitional one. `undefined` for a function that is not a virtio
 * device.
 */
export function virtioIdentity(vendor: number, device: number, subsystem: number): DeviceIdentity | undefined {
  if (vendor !== VIRTIO_VENDOR || device < FIRST_TRANSITIONAL || device > LAST_MODERN) return undefined;
  const isTransitional = device < FIRST_MODERN;
  return { deviceId: isTransitional ? subsystem : device - FIRST_MODERN, isTransitional };
}

/** Reads the identity of a function. Throws {@link DeviceError} `ERR_DEVICE_CONFIG` where it is not a virtio device. */
export function identifyDevice(pci: PciFunction): DeviceIdentity {
  const vendor = pci.readConfig(PCI_VENDOR_ID, 2);
  const device = pci.readConfig(PCI_DEVICE_ID, 2);
  const identity = virtioIdentity(vendor, device, pci.readConfig(PCI_SUBSYSTEM_ID, 2));
  if (identity !== undefined) return identity;
  const id = `${vendor.toString(16).padStart(4, '0')}:${device.toString(16).padStart(4, '0')}`;
  throw new DeviceError('ERR_DEVICE_CONFIG', `${pci.name} is ${id}, which is not a virtio device`, {
    hint: 'virtio devices are 1af4:1000 to 1af4:107f',
  });
}

/**
 * Throws {@link DeviceError} `ERR_DEVICE_CONFIG` where the function `name` is a device of another type than the
 * profile's.
 */
export function checkDeviceType(
  { deviceId }: Pick<Transport, 'deviceId'>,
  name: string,
  { type }: DeviceDescription,
): void {
  if (deviceId === type.id) return;
  const found = `a virtio ${virtioDeviceName(deviceId)} (device type ${deviceId})`;
  throw new DeviceError('ERR_DEVICE_CONFIG', `${name} is ${found}, not ${type.name} (device type ${type.id})`, {
    hint: 'name the type of this device in the device section, or another device in the machine section',
  });
}

/**
 * The features that the transport hides from the driver: where a profile lists the features of its device, every
 * feature outside of that list.
 */
export function hiddenFeatures({ offers }: DeviceDescription, transport: TransportKind): FeatureSet {
  return offers === undefined ? FeatureSet.EMPTY : transportCarries(transport).minus(offers);
}
