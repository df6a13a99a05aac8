import { featureBit } from '@virtio-platform/core/features';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import {
  DEVICE_SETTINGS,
  DEVICE_WORKLOADS,
  namesAccessPlatform,
  REPEATABLE_TYPES,
  type DeviceType,
} from './device-types.ts';
import { DEFAULT_CAPACITY, SECTOR } from './device-section.ts';
import type { Disruption } from './profile.ts';
import type { SectionName } from './profile-schema.ts';
import type { ReadableValues } from './read-profile.ts';
/** Two values that cannot be together, each of which is right by itself. */
export interface Contradiction {
  /** The one of them that the issue names. */
  readonly path: readonly [SectionName, string];
  readonly message: string;
}

/** Finds values that cannot be together. A value that could not be read contradicts none. */
export function findContradictions(values: ReadableValues): Contradiction[] {
  return CHECKS.flatMap((check) => check(values) ?? []);
}

/** Bytes of an Ethernet header. */
const SHORTEST_PACKET = 14;
/** Bytes of the longest packet. */
const LONGEST_PACKET = 65_535;

type Check = (values: ReadableValues) => Contradiction | undefined;

const CHECKS: readonly Check[] = [
  ({ device, driver }) => {
    if (driver.interface === 'legacy' && device.interface === 'modern') {
      const message = 'the device is modern only; a legacy driver needs device.interface transitional or legacy';
      return { path: ['driver', 'interface'], message };
    }
    if (driver.interface === 'modern' && device.interface === 'legacy') {
      const message = 'the device is legacy only; a modern driver needs device.interface transitional or modern';
      return { path: ['driver', 'interface'], message };
    }
    return undefined;
  },
  (values) => {
    if (!hasLegacyDriver(values) || !namesAccessPlatform(values.expect.accepted)) return undefined;
    const message = 'a legacy driver cannot accept ACCESS_PLATFORM: the legacy interface has no feature bits above 31';
    return { path: ['expect', 'accepted'], message };
  },
  (values) => {
    if (!hasLegacyDriver(values) || values.queue.layout !== 'packed') return undefined;
    const message = 'a legacy driver cannot use the packed layout: the legacy interface has no feature bits above 31';
    return { path: ['queue', 'layout'], message };
  },
  ({ queue: { layout, size } }) => {
    if (layout !== 'split' || size === undefined || (size & (size - 1)) === 0) return undefined;
    return { path: ['queue', 'size'], message: `must be a power of two on the split layout, not \`${size}\`` };
  },
  ({ policy: { noTranslationBit, identityAddressBit } }) => {
    if (noTranslationBit === undefined || noTranslationBit !== identityAddressBit) return undefined;
    return { path: ['policy', 'identityAddressBit'], message: 'must be another bit than noTranslationBit' };
  },
  ({ device, driver: { forces, lacks, clears }, expect }) => {
    if (forces === undefined) return undefined;
    const idle = lacks === undefined ? clears && 'clears' : 'lacks';
    if (idle !== undefined)
      return { path: ['driver', idle], message: 'a driver that forces features negotiates nothing' };
    if (device.interface === undefined || device.interface === 'modern' || expect.outcome === 'refused')
      return undefined;
    return {
      path: ['driver', 'forces'],
      message: 'only a modern device can refuse features: make it modern, or expect outcome refused',
    };
  },
  ({ expect, driver }) => {
    if (expect.path !== 'physical' || !namesAccessPlatform(expect.accepted)) return undefined;
    // Neither uses the platform's mapping: the first may not, and the second passes physical addresses against the
    // rules.
    if (driver.privilege === 'process-noiommu' || driver.forces !== undefined) return undefined;
    const message = 'physical is the path without ACCESS_PLATFORM, and expect.accepted has it';
    return { path: ['expect', 'path'], message };
  },
  ({ device }) => {
    const { type } = device;
    const foreign = Object.entries(device).find(
      ([key, value]) => type !== undefined && value !== undefined && isForeign(type, key),
    );
    if (foreign === undefined) return undefined;
    return { path: ['device', foreign[0]], message: `a ${type} device has no ${foreign[0]}` };
  },
  ({ device, driver, expect }) =>
    findForeignFeature(device.type, ['device', 'offers'], device.offers) ??
    findForeignFeature(device.type, ['driver', 'lacks'], driver.lacks) ??
    findForeignFeature(device.type, ['driver', 'clears'], driver.clears) ??
    findForeignFeature(device.type, ['driver', 'forces'], driver.forces) ??
    findForeignFeature(device.type, ['expect', 'accepted'], expect.accepted) ??
    findForeignFeature(device.type, ['expect', 'declined'], expect.declined),
  ({ workload: { kind }, device: { type } }) => {
    if (kind === undefined || type === undefined || DEVICE_WORKLOADS[type].includes(kind)) return undefined;
    const kinds = DEVICE_WORKLOADS[type].join(' or ');
    return { path: ['workload', 'kind'], message: `must be ${kinds} for a ${type} device` };
  },
  ({ workload: { disruptions = [] }, device, queue }) => {
    const problem = disruptions.map((each) => findDisruptionProblem(each, device, queue.layout)).find(Boolean);
    return problem === undefined ? undefined : { path: ['workload', 'disruptions'], message: problem };
  },
  ({ workload: { blockSize }, device: { type } }) => {
    if (type !== 'block' || blockSize === undefined || blockSize % SECTOR === 0) return undefined;
    return { path: ['workload', 'blockSize'], message: `must be a multiple of ${SECTOR}B for a block device` };
  },
  ({ workload: { blockSize }, device: { type } }) => {
    if (type !== 'net' || blockSize === undefined) return undefined;
    if (blockSize >= SHORTEST_PACKET && blockSize <= LONGEST_PACKET) return undefined;
    const message = `a packet has ${SHORTEST_PACKET} to ${LONGEST_PACKET} bytes`;
    return { path: ['workload', 'blockSize'], message };
  },
  ({ workload, device }) => {
    const { blockSize } = workload;
    // A capacity that is not given has a default; one that could not be read has no key here.
    if (device.type !== 'block' || blockSize === undefined || !('capacity' in device)) return undefined;
    const capacity = device.capacity ?? DEFAULT_CAPACITY;
    if (blockSize <= capacity) return undefined;
    const message = `a request of ${blockSize} bytes does not fit device.capacity, ${capacity} bytes`;
    return { path: ['workload', 'blockSize'], message };
  },
  ({ workload: { depth, requests } }) => {
    if (depth === undefined || requests === undefined || depth <= requests) return undefined;
    return { path: ['workload', 'depth'], message: `${depth} requests cannot be in flight out of ${requests}` };
  },
  ({ workload: { depth, blockSize }, machine: { memory } }) => {
    if (depth === undefined || blockSize === undefined || memory === undefined) return undefined;
    // A lower bound: rings and request headers come on top, and page 0 is never allocated.
    const needed = depth * blockSize + PAGE_SIZE;
    if (needed <= memory) return undefined;
    const message = `the buffers of ${depth} requests of ${blockSize} bytes need more than ${needed} bytes`;
    return { path: ['machine', 'memory'], message };
  },
];

/** The reason why a disruption is impossible; `undefined` where it is possible. */
function findDisruptionProblem(
  disruption: Disruption,
  { type, offers }: ReadableValues['device'],
  layout: 'split' | 'packed' | undefined,
): string | undefined {
  const { after, do: what, size } = disruption;
  const needed = what === 'suspend' ? 'SUSPEND' : 'RING_RESET';
  const where = `${what} after ${after}`;
  if (offers !== undefined && !offers.includes(needed)) return `${where}: device.offers has no ${needed}`;
  if (what === 'suspend') return size === undefined ? undefined : `${where}: only reset-queues has a size`;
  if (type !== undefined && !REPEATABLE_TYPES.includes(type))
    return `${where}: the messages of a ${type} device that are in flight would be lost`;
  const isPossible = size === undefined || layout !== 'split' || (size & (size - 1)) === 0;
  return isPossible ? undefined : `${where}: a split queue has a power of two of entries, not ${size}`;
}

/** Whether a key of the device section belongs to other types only. */
function isForeign(type: DeviceType, key: string): boolean {
  const settings = Object.values(DEVICE_SETTINGS).flat();
  return settings.includes(key) && !DEVICE_SETTINGS[type].includes(key);
}

function findForeignFeature(
  type: DeviceType | undefined,
  path: readonly [SectionName, string],
  names: readonly string[] | undefined,
): Contradiction | undefined {
  const foreign = names?.find((name) => type !== undefined && featureBit(name, type) === undefined);
  return foreign === undefined ? undefined : { path, message: `${foreign} is no feature of a ${type} device` };
}

function hasLegacyDriver({ device, driver }: ReadableValues): boolean {
  return driver.interface === 'legacy' || (driver.interface === undefined && device.interface === 'legacy');
}
