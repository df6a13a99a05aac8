import { describeValue, type AddressRange, type MappingRequest, type Platform } from '@virtio-platform/core';
import type { DeviceFault } from '@virtio-platform/core/address-space';
import type { DmaMapping, DmaPath } from '@virtio-platform/core/dma';
import type { NegotiationRule, PlatformTraits } from '@virtio-platform/core/negotiation';
import type { PluginUse } from '../schema/profile.ts';
import { checkMapping } from './guarded-mapping.ts';
import { guardRules } from './guarded-rules.ts';
import { guardTraits } from './guarded-traits.ts';
import {
  checkMembers,
  isBoolean,
  isCount,
  isFunction,
  isOneOf,
  isText,
  orAbsent,
  type GivenObject,
  type MemberCheck,
} from './member-check.ts';
import { runHookSync } from './run-hook.ts';
import { contractError } from './thrown-by-plugin.ts';

const MEMBERS: readonly MemberCheck[] = [
  ['name', isText, 'a text'],
  ['guestByteOrder', isOneOf('little', 'big'), 'little or big'],
  ['openMapping', isFunction, 'a function'],
  ['recordedFaults', orAbsent(isFunction), 'a function, or nothing'],
  ['exec', orAbsent(isFunction), 'a function, or nothing'],
  ['dispose', isFunction, 'a function'],
];

const POOL: readonly MemberCheck[] = ['slots', 'used', 'highWater', 'exhausted'].map((name) => [
  name,
  isCount,
  'a whole number from 0 on',
]);

const FAULT: readonly MemberCheck[] = [
  ['address', (value) => typeof value === 'bigint' && value >= 0n, 'a bigint from 0 on'],
  ['length', isCount, 'a whole number from 0 on'],
  ['access', isOneOf('read', 'write', 'read or write'), 'read, write, or `read or write`'],
  ['cause', isText, 'a text'],
];

const RANGE: readonly MemberCheck[] = [
  ['what', isText, 'a text'],
  ['kind', isOneOf('window', 'pool', 'interrupts'), 'window, pool or interrupts'],
  ['deviceAddress', (value) => typeof value === 'bigint' && value >= 0n, 'a bigint from 0 on'],
  ['address', orAbsent(isCount), 'a whole number from 0 on, or nothing'],
  ['length', isCount, 'a whole number from 0 on'],
  ['ofEveryDevice', orAbsent(isBoolean), 'true or false, or nothing'],
];

/**
 * A platform of a plugin, behind checks: each call into it is guarded, and what it gives is checked. Only the mappings
 * go to the ring as they are.
 */
export class GuardedPlatform implements Platform {
  readonly name: string;
  readonly rules: readonly NegotiationRule[];
  readonly guestByteOrder: Platform['guestByteOrder'];
  readonly #platform: Platform;
  readonly #traits: PlatformTraits;
  readonly #use: PluginUse;

  /** Takes what a plugin bound as PLATFORM. Throws `ERR_PLUGIN_CONTRACT` and `ERR_PLUGIN_HOOK`. */
  constructor(use: PluginUse, bound: unknown) {
    this.#use = use;
    checkMembers(this.#given('PLATFORM'), bound, MEMBERS);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what is checked below and above
    const platform = bound as Platform;
    this.#platform = platform;
    this.name = platform.name;
    this.guestByteOrder = platform.guestByteOrder;
    this.#traits = guardTraits(
      this.#given('traits'),
      this.#run('traits', () => platform.traits),
    );
    this.rules = guardRules(
      this.#given('rules'),
      this.#run('rules', () => platform.rules),
    );
  }

  /** A platform may find its facts out only when they are read. */
  get traits(): PlatformTraits {
    return this.#traits;
  }

  get bouncePool(): Platform['bouncePool'] {
    const pool = this.#run('bouncePool', () => this.#platform.bouncePool);
    if (pool !== undefined) checkMembers(this.#given('bouncePool'), pool, POOL);
    return pool;
  }

  openMapping(path: DmaPath, request: MappingRequest): DmaMapping {
    const mapping: unknown = this.#run('openMapping', () => this.#platform.openMapping(path, request));
    return checkMapping(this.#given('openMapping'), mapping);
  }

  recordedFaults(): readonly DeviceFault[] {
    if (this.#platform.recordedFaults === undefined) return [];
    return this.#list('recordedFaults', () => this.#platform.recordedFaults!(), FAULT);
  }

  get addressRanges(): readonly AddressRange[] {
    return this.#list('addressRanges', () => this.#platform.addressRanges ?? [], RANGE);
  }

  /** Checked where the report is made. */
  get leaks(): Platform['leaks'] {
    return this.#run('leaks', () => this.#platform.leaks);
  }

  /** Checked where the report is made. */
  get statistics(): Platform['statistics'] {
    return this.#run('statistics', () => this.#platform.statistics);
  }

  exec(): void {
    if (this.#platform.exec !== undefined) return this.#run('exec', () => this.#platform.exec!());
    throw contractError('platform', this.#use, 'exec', 'is missing, although its plugin does not refuse exec');
  }

  dispose(): void {
    return this.#platform.dispose();
  }

  #run<T>(hook: string, body: () => T): T {
    return runHookSync('platform', this.#use, hook, body);
  }

  /** What `body` gives: a list of objects with these members. */
  #list<T>(hook: string, body: () => readonly T[], members: readonly MemberCheck[]): readonly T[] {
    const list: unknown = this.#run(hook, body);
    if (!Array.isArray(list))
      throw contractError('platform', this.#use, hook, `returned ${describeValue(list)}, not a list`);
    for (const each of list) checkMembers(this.#given(hook), each, members);
    return list;
  }

  #given(hook: string): GivenObject {
    return { kind: 'platform', use: this.#use, hook };
  }
}
