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

/** Queue size that every device model supports at most, as QEMU's. */
const MAX_QUEUE_SIZE = 1024;

/** Makes the device half of a type. Throws `RangeError` for a type that this package does not have, `TypeError` for settings that are not its own. */
export function createDevice(type: string, settings: unknown, byteOrder: ByteOrder): DeviceModel {
  if (type !== 'block') throw new RangeError(`there is no device half for type ${type}`);
  if (!isBlockSettings(settings)) throw new TypeError('a block device needs capacity, readOnly and serial');
  const { capacity, image, readOnly, serial } = settings;
  const backing = image === undefined ? new SparseBacking(capacity) : new FileBacking(image, capacity, readOnly);
  return new BlockDevice(backing, { readOnly, serial, queueSize: MAX_QUEUE_SIZE, byteOrder });
}

function isBlockSettings(value: unknown): value is BlockSettings {
  if (typeof value !== 'object' || value === null) return false;
  const { capacity, image, readOnly, serial } = value as Partial<Record<keyof BlockSettings, unknown>>;
  const hasImage = image === undefined || typeof image === 'string';
  return Number.isSafeInteger(capacity) && hasImage && typeof readOnly === 'boolean' && typeof serial === 'string';
}
