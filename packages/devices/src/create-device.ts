import type { ByteOrder } from '@virtio-platform/core';
import { FileBacking, SparseBacking } from './block/backing.ts';
import { BlockDevice } from './block/device.ts';
import type { DeviceModel } from './device-model.ts';

/** The device section of a profile for a block device. */
export interface BlockSettings {
  /** Bytes; a multiple of 512. */
  readonly capacity: number;
  /** Absolute path of a raw image; memory without it. */
  readonly image: string | undefined;
  readonly readOnly: boolean;
  readonly serial: string;
}

/** Device types this package has, with the settings of each. */
export interface DeviceSettings {
  readonly block: BlockSettings;
}

/** Queue size that every device model supports at most, as QEMU's. */
const MAX_QUEUE_SIZE = 1024;

/** Makes the device half of a type. Throws `RangeError` for a type that this package does not have. */
export function createDevice(type: string, settings: unknown, byteOrder: ByteOrder): DeviceModel {
  if (type !== 'block') throw new RangeError(`there is no device half for type ${type}`);
  // The profile's schema for this type has checked the settings.
  const { capacity, image, readOnly, serial } = settings as DeviceSettings['block'];
  const backing = image === undefined ? new SparseBacking(capacity) : new FileBacking(image, capacity, readOnly);
  return new BlockDevice(backing, { readOnly, serial, queueSize: MAX_QUEUE_SIZE, byteOrder });
}
