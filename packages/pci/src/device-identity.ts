import { DeviceError, type DeviceDescription } from '@virtio-platform/core';
import { FeatureSet, transportCarries, type TransportKind } from '@virtio-platform/core/features';
import type { PciFunction } from './pci-function.ts';
const VENDOR_ID = 0x00;
const DEVICE_ID = 0x02;
const SUBSYSTEM_ID = 0x2e;

const VIRTIO_VENDOR = 0x1af4;
const FIRST_TRANSITIONAL = 0x1000;
const FIRST_MODERN = 0x1040;
const LAST_MODERN = 0x107f;

/** Virtio device ids (specification 1.4 section 5) by the names that profiles use. */
const TYPES: ReadonlyMap<number, string> = new Map([
  [1, 'net'],
  [2, 'block'],
  [3, 'console'],
  [4, 'entropy'],
]);

/** What a PCI function says it is. */
export interface DeviceIdentity {
  /** As profiles name it, such as `block`; of a type that has no name here `device 5`. */
  readonly type: string;
  /** Whether it has the legacy interface, alone or beside the modern one: only such a function has an id of before 1.0. */
  readonly isTransitional: boolean;
}

/**
 * What the ids of a PCI function say (specification 1.4 section 4.1.2): a modern one tells its type by its device id, one from before
 * by its subsystem. `undefined` for what is no virtio device.
 */
export function virtioIdentity(vendor: number, device: number, subsystem: number): DeviceIdentity | undefined {
  if (vendor !== VIRTIO_VENDOR || device < FIRST_TRANSITIONAL || device > LAST_MODERN) return undefined;
  const isTransitional = device < FIRST_MODERN;
  const type = isTransitional ? subsystem : device - FIRST_MODERN;
  return { type: TYPES.get(type) ?? `device ${type}`, isTransitional };
}

/** Reads what a function is. Throws {@link DeviceError} `ERR_DEVICE_CONFIG` for what is no virtio device. */
export function identifyDevice(pci: PciFunction): DeviceIdentity {
  const vendor = pci.readConfig(VENDOR_ID, 2);
  const device = pci.readConfig(DEVICE_ID, 2);
  const identity = virtioIdentity(vendor, device, pci.readConfig(SUBSYSTEM_ID, 2));
  if (identity !== undefined) return identity;
  const id = `${vendor.toString(16).padStart(4, '0')}:${device.toString(16).padStart(4, '0')}`;
  throw new DeviceError('ERR_DEVICE_CONFIG', `${pci.name} is ${id}, which is no virtio device`, {
    hint: 'virtio devices are 1af4:1000 to 1af4:107f',
  });
}


/** What the driver of a device is not shown although the device may have it: whatever its profile does not list, if that lists anything. */
export function hiddenFeatures({ offers }: DeviceDescription, transport: TransportKind): FeatureSet {
  return offers === undefined ? FeatureSet.EMPTY : transportCarries(transport).minus(offers);
}
