import { describeValue } from '@virtio-platform/core';
import { DMA_PATHS } from '@virtio-platform/core/dma';
import { DECIDING_FACTS, type MappingSteps, type PlatformTraits } from '@virtio-platform/core/negotiation';
import { isRecord, type UnknownRecord } from '../source/unknown-value.ts';
import {
  checkMembers,
  isBoolean,
  isOneOf,
  isText,
  orAbsent,
  type GivenObject,
  type MemberCheck,
} from './member-check.ts';
import { runHookSync } from './run-hook.ts';
import { contractError } from './thrown-by-plugin.ts';

const isWidth = (value: unknown): boolean => Number.isInteger(value) && Number(value) >= 1 && Number(value) <= 64;

const STEPS: readonly (keyof MappingSteps)[] = ['map', 'unmap', 'region', 'release', 'access'];
const isSteps = (value: unknown): boolean => isRecord(value) && STEPS.every((step) => isText(value[step]));

const FACTS: readonly string[] = DECIDING_FACTS;
const isFactOptions = (value: unknown): boolean =>
  isRecord(value) &&
  Object.entries(value).every(([fact, option]) => FACTS.includes(fact) && (option === undefined || isText(option)));

const PATHS: readonly string[] = DMA_PATHS.filter((path) => path !== 'physical');

const MEMBERS: readonly MemberCheck[] = [
  ['restrictedMemory', isBoolean, 'true or false'],
  ['isolates', isBoolean, 'true or false'],
  ['mappedPath', isOneOf(...PATHS), `one of ${PATHS.join(', ')}`],
  ['identityVerified', orAbsent(isBoolean), 'true, false or undefined'],
  ['addressMeaning', isText, 'a sentence'],
  ['pathOption', orAbsent(isText), 'a text'],
  ['factOptions', orAbsent(isFactOptions), `texts for ${DECIDING_FACTS.join(', ')}, each or none`],
  ['mappingSteps', orAbsent(isSteps), 'sentences for map, unmap, region, release and access'],
  ['reachesAllMemory', orAbsent(isBoolean), 'true or false'],
  ['bounceIsPhysical', orAbsent(isBoolean), 'true or false'],
  ['restrictedUnchecked', orAbsent(isBoolean), 'true or false'],
  ['confinesEveryDevice', orAbsent(isBoolean), 'true or false'],
  ['mapsUnflagged', orAbsent(isBoolean), 'true or false'],
  ['processOnly', orAbsent(isBoolean), 'true or false'],
  ['interruptsExposed', orAbsent(isBoolean), 'true or false'],
  ['writableIsReadable', orAbsent(isBoolean), 'true or false'],
  ['keepsBorrowed', orAbsent(isBoolean), 'true or false'],
  ['addressBits', orAbsent(isWidth), 'a whole number from 1 to 64'],
];

/** Facts that cannot both hold: the first one is true only where the second one is. */
const IMPLIED = [
  ['confinesEveryDevice', 'isolates'],
  ['restrictedUnchecked', 'restrictedMemory'],
  ['bounceIsPhysical', 'restrictedMemory'],
] as const;

/**
 * The traits of a platform, each member checked: at once where it is a plain value, and at each read where it is a
 * getter, because a platform may find a fact out only when the trait is read. Throws `ERR_PLUGIN_CONTRACT`.
 */
export function guardTraits(given: GivenObject, traits: unknown): PlatformTraits {
  const { kind, use, hook } = given;
  if (!isRecord(traits)) throw contractError(kind, use, hook, `is ${describeValue(traits)}, not an object`);
  const isPlain = (name: string): boolean => !isComputed(traits, name);
  checkMembers(
    given,
    traits,
    MEMBERS.filter(([name]) => isPlain(name)),
  );
  for (const pair of IMPLIED) if (pair.every(isPlain)) checkPair(given, traits, pair);
  const guarded = {};
  for (const member of MEMBERS) {
    const [name] = member;
    const get = (): unknown => {
      const value = runHookSync(kind, use, name, () => traits[name]);
      checkMembers(given, { [name]: value }, [member]);
      for (const pair of IMPLIED) if (pair[0] === name && value === true) checkPair(given, traits, pair);
      return value;
    };
    if (isPlain(name)) Object.defineProperty(guarded, name, { value: traits[name], enumerable: true });
    else Object.defineProperty(guarded, name, { get, enumerable: true });
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- each member is checked, now or when it is read
  return guarded as PlatformTraits;
}

function checkPair({ kind, use, hook }: GivenObject, traits: UnknownRecord, [fact, premise]: readonly string[]): void {
  if (traits[fact!] !== true || traits[premise!] === true) return;
  throw contractError(kind, use, hook, `contradict each other: ${fact} without ${premise}`);
}

/** Whether reading the member runs code of the plugin. */
function isComputed(object: object, name: string): boolean {
  for (let owner: object | null = object; owner !== null; owner = Reflect.getPrototypeOf(owner)) {
    const descriptor = Reflect.getOwnPropertyDescriptor(owner, name);
    if (descriptor !== undefined) return descriptor.get !== undefined;
  }
  return false;
}
