import { PAGE_SIZE } from '@virtio-platform/core';
import { namesAccessPlatform, SECTION_FIELDS, type CheckedProfile, type SectionName } from './profile-schema.ts';
import { isRecord, type UnknownRecord } from './unknown-record.ts';

/** Values that do not go together, each right by itself. */
export interface Contradiction {
  /** The value that is named as wrong. */
  readonly path: readonly [SectionName, string];
  readonly message: string;
}

/** The values that could be read, whatever is wrong with others. */
export type ReadableValues = { readonly [Section in SectionName]: Partial<CheckedProfile[Section]> };

/**
 * Reads every value of a profile by itself. `isSound` tells whether a section has no issue; only then a value that is not given
 * is its default, because it may be one that was misspelt.
 */
export function readableValues(profile: UnknownRecord, isSound: (section: string) => boolean): ReadableValues {
  const sections = Object.entries(SECTION_FIELDS).map(([section, fields]) => {
    const given = profile[section];
    const values = Object.entries(fields).flatMap(([key, schema]) => {
      const value = isRecord(given) ? given[key] : undefined;
      const result = value === undefined && !isSound(section) ? undefined : schema.safeParse(value);
      return result?.success === true ? [[key, result.data] as const] : [];
    });
    return [section, Object.fromEntries(values)] as const;
  });
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- each value passed the schema of its key
  return Object.fromEntries(sections) as ReadableValues;
}

/** Finds what cannot be together. Values that could not be read contradict nothing. */
export function findContradictions(values: ReadableValues): Contradiction[] {
  return CHECKS.flatMap((check) => check(values) ?? []);
}

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
  ({ device, driver, expect }) => {
    const isLegacy = driver.interface === 'legacy' || (driver.interface === undefined && device.interface === 'legacy');
    if (!isLegacy || !namesAccessPlatform(expect.accepted)) return undefined;
    const message = 'a legacy driver cannot accept ACCESS_PLATFORM: the legacy interface has no feature bits above 31';
    return { path: ['expect', 'accepted'], message };
  },
  ({ expect }) => {
    if (expect.path !== 'physical' || !namesAccessPlatform(expect.accepted)) return undefined;
    const message = 'physical is the path without ACCESS_PLATFORM, and expect.accepted has it';
    return { path: ['expect', 'path'], message };
  },
  ({ workload, device }) => {
    const { blockSize } = workload;
    if (blockSize === undefined || device.capacity === undefined || blockSize <= device.capacity) return undefined;
    const message = `a request of ${blockSize} bytes does not fit device.capacity, ${device.capacity} bytes`;
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
