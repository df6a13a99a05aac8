import type { ByteOrder } from '@virtio-platform/core/queue';
import { FileBacking, SparseBacking } from './block/backing.ts';
import { BlockDevice } from './block/device.ts';
import { BLOCK_MAX_QUEUES } from './block/layout.ts';
import { ConsoleDevice } from './console/device.ts';
import { CONSOLE_MAX_PORTS } from './console/layout.ts';
import type { DeviceModel } from './device-model.ts';
import { EntropyDevice } from './entropy/device.ts';
import { RandomSource, SeededSource } from './entropy/source.ts';
import { NetDevice } from './net/device.ts';
import { NET_MAX_QUEUE_PAIRS } from './net/layout.ts';

/** The device section of a profile for a block device. */
export interface BlockSettings {
  /** Bytes; a multiple of 512. */
  readonly capacity: number;
  /** Absolute path of a raw image; memory without it. */
  readonly image: string | undefined;
  readonly readOnly: boolean;
  /** Whether an image of another size than the capacity may be overwritten; without it not. */
  readonly overwrite?: boolean | undefined;
  readonly serial: string;
  /** 1 to 64; without it 1. */
  readonly queues?: number | undefined;
}

/** The device section of a profile for an entropy device. */
export interface EntropySettings {
  /** Makes the bytes the same in every run: 32 bits; without it they are random. */
  readonly seed?: number | undefined;
}

/** The device section of a profile for a console. */
export interface ConsoleSettings {
  /** Characters. */
  readonly columns: number;
  readonly rows: number;
  /** 1 to 31. */
  readonly ports: number;
}

/** The device section of a profile for a network device. */
export interface NetSettings {
  /** Six bytes in hexadecimal, with colons. */
  readonly mac: string;
  /** Pairs of a receive and a transmit queue, 1 to 15. */
  readonly queuePairs: number;
}

/** Queue size that every device model supports at most, as QEMU's. */
const MAX_QUEUE_SIZE = 1024;

/**
 * Makes the device half of a type. Throws `RangeError` for a type that this package does not have, `TypeError` for
 * settings that are not its own.
 */
export function createDevice(type: string, settings: unknown, byteOrder: ByteOrder): DeviceModel {
  switch (type) {
    case 'block':
      return createBlock(settings, byteOrder);
    case 'entropy':
      return createEntropy(settings);
    case 'console':
      return createConsole(settings, byteOrder);
    case 'net':
      return createNet(settings, byteOrder);
    default:
      throw new RangeError(`there is no device half for type ${type}`);
  }
}

function createBlock(settings: unknown, byteOrder: ByteOrder): DeviceModel {
  if (!isBlockSettings(settings))
    throw new TypeError(`a block device needs capacity, readOnly and serial, and 1 to ${BLOCK_MAX_QUEUES} queues`);
  const { capacity, image, readOnly, overwrite, serial, queues = 1 } = settings;
  const backing =
    image === undefined ? new SparseBacking(capacity) : new FileBacking(image, capacity, readOnly, overwrite);
  return new BlockDevice(backing, { readOnly, serial, queues, queueSize: MAX_QUEUE_SIZE, byteOrder });
}

function createEntropy(settings: unknown): DeviceModel {
  if (!isRecord(settings)) throw new TypeError('an entropy device needs its settings');
  const { seed } = settings;
  if (seed !== undefined && !isInteger(seed, 0, 0xffff_ffff))
    throw new TypeError('the seed of an entropy device is an integer of 32 bits');
  return new EntropyDevice(seed === undefined ? new RandomSource() : new SeededSource(seed), MAX_QUEUE_SIZE);
}

function createConsole(settings: unknown, byteOrder: ByteOrder): DeviceModel {
  if (!isConsoleSettings(settings))
    throw new TypeError(`a console needs columns, rows and 1 to ${CONSOLE_MAX_PORTS} ports`);
  const { columns, rows, ports } = settings;
  return new ConsoleDevice({ columns, rows, ports, queueSize: MAX_QUEUE_SIZE, byteOrder });
}

function createNet(settings: unknown, byteOrder: ByteOrder): DeviceModel {
  if (!isNetSettings(settings))
    throw new TypeError(`a network device needs a mac of six bytes and 1 to ${NET_MAX_QUEUE_PAIRS} queuePairs`);
  const mac = Uint8Array.from(settings.mac.split(':'), (byte) => Number.parseInt(byte, 16));
  return new NetDevice({ mac, queuePairs: settings.queuePairs, queueSize: MAX_QUEUE_SIZE, byteOrder });
}

function isConsoleSettings(value: unknown): value is ConsoleSettings {
  if (!isRecord(value)) return false;
  const { columns, rows, ports } = value;
  return isInteger(columns, 1, 0xffff) && isInteger(rows, 1, 0xffff) && isInteger(ports, 1, CONSOLE_MAX_PORTS);
}

function isNetSettings(value: unknown): value is NetSettings {
  if (!isRecord(value)) return false;
  const { mac, queuePairs } = value;
  const isAddress = typeof mac === 'string' && /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac);
  return isAddress && isInteger(queuePairs, 1, NET_MAX_QUEUE_PAIRS);
}

function isBlockSettings(value: unknown): value is BlockSettings {
  if (!isRecord(value)) return false;
  const { capacity, image, readOnly, overwrite, serial, queues } = value;
  const hasImage = image === undefined || typeof image === 'string';
  const hasQueues = queues === undefined || isInteger(queues, 1, BLOCK_MAX_QUEUES);
  const mayOverwrite = overwrite === undefined || typeof overwrite === 'boolean';
  const hasNames = typeof readOnly === 'boolean' && typeof serial === 'string';
  return Number.isSafeInteger(capacity) && hasImage && mayOverwrite && hasQueues && hasNames;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

function isInteger(value: unknown, least: number, most: number): value is number {
  return Number.isInteger(value) && Number(value) >= least && Number(value) <= most;
}
