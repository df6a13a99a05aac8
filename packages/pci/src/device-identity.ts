import { DeviceError, type DeviceDescription } from '@virtio-platform/core';
import { FeatureSet, transportCarries, type TransportKind } from '@virtio-platform/core/features';
import { PCI_DEVICE_ID, PCI_SUBSYSTEM_ID, PCI_VENDOR_ID } from './configuration-space.ts';
import type { PciFunction } from './pci-function.ts';

const VIRTIO_VENDOR = 0x1af4;
const FIRST_TRANSITIONAL = 0x1000;
const FIRST_MODERN = 0x1040;
const LAST_MODERN = 0x107f;

/** Virtio device ids (specification 1.4 section 5) and the names that profiles use for them. */
const TYPES: ReadonlyMap<number, string> = new Map([
  [1, 'net'],
  [2, 'block'],
  [3, 'console'],
  [4, 'entropy'],
]);

/** The device type and interface that the ids of a PCI function state. */
export interface DeviceIdentity {
  /** The name that profiles use, such as `block`; `device 5` for a type that profiles do not have. */
  readonly type: string;
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
  const type = isTransitional ? subsystem : device - FIRST_MODERN;
  return { type: TYPES.get(type) ?? `device ${type}`, isTransitional };
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
 * The features that the transport hides from the driver: where a profile lists the features of its device, every
 * feature outside of that list.
 */
export function hiddenFeatures({ offers }: DeviceDescription, transport: TransportKind): FeatureSet {
  return offers === undefined ? FeatureSet.EMPTY : transportCarries(transport).minus(offers);
}
