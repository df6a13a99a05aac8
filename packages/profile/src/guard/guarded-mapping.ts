import { DMA_PATHS, type DmaMapping } from '@virtio-platform/core/dma';
import {
  checkMembers,
  isCount,
  isFunction,
  isOneOf,
  orAbsent,
  type GivenObject,
  type MemberCheck,
} from './member-check.ts';

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null;
const isPositive = (value: unknown): boolean => typeof value === 'number' && value > 0;
const isWidth = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 64;

const MAPPING: readonly MemberCheck[] = [
  ['path', isOneOf(...DMA_PATHS), `one of ${DMA_PATHS.join(', ')}`],
  ['limits', isObject, 'an object'],
  ['statistics', isObject, 'an object'],
  ['map', isFunction, 'a function'],
  ['unmap', isFunction, 'a function'],
  ['syncForCpu', isFunction, 'a function'],
  ['syncForDevice', isFunction, 'a function'],
  ['premap', isFunction, 'a function'],
  ['allocateCoherent', isFunction, 'a function'],
  ['resolve', orAbsent(isFunction), 'a function, or nothing'],
  ['walk', orAbsent(isFunction), 'a function, or nothing'],
  ['dispose', isFunction, 'a function'],
];

const isMask = (value: unknown): boolean => Number.isInteger(value) && Number.isInteger(Math.log2(Number(value) + 1));

const LIMITS: readonly MemberCheck[] = [
  ['addressBits', isWidth, 'a whole number from 1 to 64'],
  ['maxMappingSize', isPositive, 'a number above 0'],
  ['alignment', isPositive, 'a number above 0'],
  ['boundary', isPositive, 'a number above 0'],
  ['maxMappings', isPositive, 'a number above 0'],
  ['reach', orAbsent(isPositive), 'a number above 0, or nothing'],
  ['maxRegionSize', orAbsent(isPositive), 'a number above 0, or nothing'],
  ['copiedFrom', orAbsent(isPositive), 'a number above 0, or nothing'],
  ['minAlignMask', orAbsent(isMask), 'one less than a power of two, or nothing'],
  ['granule', orAbsent(isPositive), 'a number above 0, or nothing'],
];

const STATISTICS: readonly MemberCheck[] = ['maps', 'unmaps', 'bytesBounced', 'live'].map((name) => [
  name,
  isCount,
  'a whole number from 0 on',
]);

/**
 * Checks the mapping that a platform opened: its members, once. The object itself goes to the ring, so that a call of
 * `map` and `unmap` costs what it costs without a check. Throws `ERR_PLUGIN_CONTRACT`.
 */
export function checkMapping(given: GivenObject, mapping: unknown): DmaMapping {
  checkMembers(given, mapping, MAPPING);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- its members were just checked
  const checked = mapping as DmaMapping;
  checkMembers({ ...given, hook: 'limits' }, checked.limits, LIMITS);
  checkMembers({ ...given, hook: 'statistics' }, checked.statistics, STATISTICS);
  return checked;
}
