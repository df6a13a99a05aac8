import type { DeviceTypePlugin } from '@virtio-platform/core';
import { featureBit } from '@virtio-platform/core/features';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { aDevice, namesAccessPlatform } from './device-vocabulary.ts';
import type { Disruption } from './profile.ts';
import type { SectionName } from './profile-schema.ts';
import type { ReadableValues } from './read-profile.ts';
import type { TypedValues } from './typed-values.ts';

/** Two values that cannot be together, each of which is right by itself. */
export interface Contradiction {
  /** The one of them that the issue names. */
  readonly path: ValuePath;
  readonly message: string;
  /** The others: where one of them was laid over the rest, the issue stands there. */
  readonly with?: readonly ValuePath[];
}

/** Section and key of a value. */
export type ValuePath = readonly [SectionName, string];

const DEVICE_TYPE: readonly ValuePath[] = [
  ['device', 'type'],
  ['device', 'use'],
];
const INTERFACES: readonly ValuePath[] = [
  ['driver', 'interface'],
  ['device', 'interface'],
];

/** Finds values that cannot be together. A value that could not be read contradicts none. */
export function findContradictions(values: ReadableValues, typed: TypedValues): Contradiction[] {
  return CHECKS.flatMap((check) => check({ ...values, typed }) ?? []);
}

type Check = (values: ReadableValues & { readonly typed: TypedValues }) => Contradiction | undefined;

const CHECKS: readonly Check[] = [
  ({ device, driver }) => {
    if (driver.interface === 'legacy' && device.interface === 'modern') {
      const message = 'the device is modern only; a legacy driver needs device.interface transitional or legacy';
      return { path: ['driver', 'interface'], message, with: [['device', 'interface']] };
    }
    if (driver.interface === 'modern' && device.interface === 'legacy') {
      const message = 'the device is legacy only; a modern driver needs device.interface transitional or modern';
      return { path: ['driver', 'interface'], message, with: [['device', 'interface']] };
    }
    return undefined;
  },
  ({ device: { interface: has = 'modern', offers = [] }, typed: { type } }) => {
    const above = has === 'legacy' ? offers.find((name) => isAbove31(name, type)) : undefined;
    const why =
      above === undefined ? noPlatformBit(has, offers) : `a legacy device has no feature bits above 31, as ${above} is`;
    if (why === undefined) return undefined;
    return {
      path: ['device', 'offers'],
      message: `${why}: set device.interface: modern`,
      with: [['device', 'interface']],
    };
  },
  (values) => {
    if (!hasLegacyDriver(values) || !namesAccessPlatform(values.expect.accepted)) return undefined;
    const message = 'a legacy driver cannot accept ACCESS_PLATFORM: the legacy interface has no feature bits above 31';
    return { path: ['expect', 'accepted'], message, with: INTERFACES };
  },
  (values) => {
    if (!hasLegacyDriver(values) || values.queue.layout !== 'packed') return undefined;
    const message = 'a legacy driver cannot use the packed layout: the legacy interface has no feature bits above 31';
    return { path: ['queue', 'layout'], message, with: INTERFACES };
  },
  ({ queue: { layout, size } }) => {
    if (layout !== 'split' || size === undefined || (size & (size - 1)) === 0) return undefined;
    const message = `must be a power of two on the split layout, not \`${size}\``;
    return { path: ['queue', 'size'], message, with: [['queue', 'layout']] };
  },
  ({ policy: { noTranslationBit, identityAddressBit } }) => {
    if (noTranslationBit === undefined || noTranslationBit !== identityAddressBit) return undefined;
    const message = 'must be another bit than noTranslationBit';
    return { path: ['policy', 'identityAddressBit'], message, with: [['policy', 'noTranslationBit']] };
  },
  ({ device, driver: { forces, lacks, clears }, expect }) => {
    if (forces === undefined) return undefined;
    const idle = lacks === undefined ? clears && 'clears' : 'lacks';
    if (idle !== undefined) {
      const message = 'a driver that forces features negotiates nothing';
      return { path: ['driver', idle], message, with: [['driver', 'forces']] };
    }
    if (device.interface === undefined || device.interface === 'modern' || expect.outcome === 'refused')
      return undefined;
    return {
      path: ['driver', 'forces'],
      message: 'only a modern device can refuse features: make it modern, or expect outcome refused',
      with: [
        ['device', 'interface'],
        ['expect', 'outcome'],
      ],
    };
  },
  ({ expect, driver }) => {
    if (expect.path !== 'physical' || !namesAccessPlatform(expect.accepted)) return undefined;
    // Neither uses the platform's mapping: the first may not, and the second passes physical addresses against the
    // rules.
    if (driver.privilege === 'process-noiommu' || driver.forces !== undefined) return undefined;
    const message = 'physical is the path without ACCESS_PLATFORM, and expect.accepted has it';
    return { path: ['expect', 'path'], message, with: [['expect', 'accepted']] };
  },
  ({ typed: { type }, device, driver, expect }) =>
    findForeignFeature(type, ['device', 'offers'], device.offers) ??
    findForeignFeature(type, ['driver', 'lacks'], driver.lacks) ??
    findForeignFeature(type, ['driver', 'clears'], driver.clears) ??
    findForeignFeature(type, ['driver', 'forces'], driver.forces) ??
    findForeignFeature(type, ['expect', 'accepted'], expect.accepted) ??
    findForeignFeature(type, ['expect', 'declined'], expect.declined),
  ({ workload: { kind }, typed: { type } }) => {
    if (kind === undefined || type === undefined || Object.hasOwn(type.workloads, kind)) return undefined;
    const kinds = Object.keys(type.workloads).join(' or ');
    const message = `must be ${kinds} for ${aDevice(type.name)}`;
    return { path: ['workload', 'kind'], message, with: DEVICE_TYPE };
  },
  ({ workload: { disruptions = [] }, device, typed, queue }) => {
    const problem = disruptions.map((each) => findDisruptionProblem(each, device, typed, queue.layout)).find(Boolean);
    if (problem === undefined) return undefined;
    const others: readonly ValuePath[] = [
      ['device', 'offers'],
      ['queue', 'layout'],
    ];
    return { path: ['workload', 'disruptions'], message: problem, with: others };
  },
  ({ typed: { settings, workload, options } }) => {
    if (settings === undefined || workload === undefined || options === undefined) return undefined;
    const problem = workload.problem?.(settings.value, options.value);
    return problem && { path: ['workload', problem.key], message: problem.message };
  },
  ({ workload: { depth, requests } }) => {
    if (depth === undefined || requests === undefined || depth <= requests) return undefined;
    const message = `${depth} requests cannot be in flight out of ${requests}`;
    return { path: ['workload', 'depth'], message, with: [['workload', 'requests']] };
  },
  ({ workload: { depth }, machine: { memory }, typed: { workload, options } }) => {
    if (depth === undefined || memory === undefined || workload === undefined || options === undefined)
      return undefined;
    const bytes = workload.bytes(options.value);
    // A lower bound: rings and request headers come on top, and page 0 is never allocated.
    const needed = depth * bytes + PAGE_SIZE;
    if (needed <= memory) return undefined;
    const message = `the buffers of ${depth} requests of ${bytes} bytes need more than ${needed} bytes`;
    return { path: ['machine', 'memory'], message, with: [['workload', 'depth'], ...workloadKeys(options.value)] };
  },
];

/** The options of a workload. */
function workloadKeys(options: unknown): readonly ValuePath[] {
  return Object.keys(Object(options)).map((key) => ['workload', key]);
}

/** The reason why a disruption is impossible; `undefined` where it is possible. */
function findDisruptionProblem(
  disruption: Disruption,
  { offers }: ReadableValues['device'],
  { type, workload }: TypedValues,
  layout: 'split' | 'packed' | undefined,
): string | undefined {
  const { after, do: what, size } = disruption;
  const where = `${what} after ${after}`;
  if (what !== 'reset-queues' && size !== undefined) return `${where}: only reset-queues has a size`;
  if (what === 'exec') return undefined;
  const needed = what === 'suspend' ? 'SUSPEND' : 'RING_RESET';
  if (offers !== undefined && !offers.includes(needed)) return `${where}: device.offers has no ${needed}`;
  if (what === 'suspend') return undefined;
  if (type !== undefined && workload?.recovers === false)
    return `${where}: the messages of ${aDevice(type.name)} that are in flight would be lost`;
  const isPossible = size === undefined || layout !== 'split' || (size & (size - 1)) === 0;
  return isPossible ? undefined : `${where}: a split queue has a power of two of entries, not ${size}`;
}

function findForeignFeature(
  type: DeviceTypePlugin | undefined,
  path: readonly [SectionName, string],
  names: readonly string[] | undefined,
): Contradiction | undefined {
  const foreign = names?.find((name) => type !== undefined && featureBit(name, type.features) === undefined);
  return foreign === undefined
    ? undefined
    : { path, message: `${foreign} is no feature of ${aDevice(type?.name ?? '')}`, with: DEVICE_TYPE };
}

function isAbove31(name: string, type: DeviceTypePlugin | undefined): boolean {
  const bit = type && featureBit(name, type.features);
  return bit !== undefined && bit > 31;
}

/** Why a device with this interface cannot offer ACCESS_PLATFORM among these features. */
function noPlatformBit(has: 'modern' | 'legacy' | 'transitional', offers: readonly string[]): string | undefined {
  if (has === 'modern' || !namesAccessPlatform(offers)) return undefined;
  return 'a transitional device cannot offer ACCESS_PLATFORM, which a legacy driver does not see (QEMU refuses it too)';
}

function hasLegacyDriver({ device, driver }: ReadableValues): boolean {
  return driver.interface === 'legacy' || (driver.interface === undefined && device.interface === 'legacy');
}
