import type { BootedMachine, Machine } from '@virtio-platform/core';
import type { PluginUse } from '../schema/profile.ts';
import {
  checkMembers,
  isCount,
  isFeatureSet,
  isFunction,
  isMap,
  isOneOf,
  isText,
  orAbsent,
  type MemberCheck,
} from './member-check.ts';
import { disposeHalf } from './run-hook.ts';

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null;

const MACHINE: readonly MemberCheck[] = [
  ['name', isText, 'a text'],
  ['boot', isFunction, 'a function'],
];

const BOOTED: readonly MemberCheck[] = [
  ['memory', isObject, 'guest memory'],
  ['transport', isObject, 'a transport'],
  ['facilities', isMap, 'a Map'],
  ['faults', isObject, 'a fault log'],
  ['deviceProgram', orAbsent(isFunction), 'a function, or nothing'],
  ['statistics', orAbsent(isFunction), 'a function, or nothing'],
  ['takeDirtyPages', orAbsent(isFunction), 'a function, or nothing'],
  ['watchMapping', orAbsent(isFunction), 'a function, or nothing'],
  ['deviceError', orAbsent(isFunction), 'a function, or nothing'],
  ['dispose', isFunction, 'a function'],
];

const MEMORY: readonly MemberCheck[] = [
  ['size', isCount, 'bytes'],
  ['u8', (value) => value instanceof Uint8Array, 'a Uint8Array'],
  ['contains', isFunction, 'a function'],
  ['allocate', isFunction, 'a function'],
  ['free', isFunction, 'a function'],
];

const FAULTS: readonly MemberCheck[] = [
  ['entries', (value) => Array.isArray(value), 'a list'],
  ['record', isFunction, 'a function'],
];

const TRANSPORT_METHODS = [
  'readDeviceFeatures',
  'writeDriverFeatures',
  'readStatus',
  'writeStatus',
  'maxQueueSize',
  'enableQueue',
  'resetQueue',
  'isQueueReset',
  'notify',
  'wait',
  'configGeneration',
  'readConfig',
  'writeConfig',
  'dispose',
] as const;

const TRANSPORT: readonly MemberCheck[] = [
  ['interface', isOneOf('modern', 'legacy'), 'modern or legacy'],
  ['deviceId', isCount, 'the number of a device type'],
  ['carries', isFeatureSet, 'a FeatureSet'],
  ['queueCount', isCount, 'a whole number from 0 on'],
  ...TRANSPORT_METHODS.map((name): MemberCheck => [name, isFunction, 'a function']),
  ['usedNotifications', orAbsent(isFunction), 'a function, or nothing'],
  ['watch', orAbsent(isFunction), 'a function, or nothing'],
  ['takeConfigChange', orAbsent(isFunction), 'a function, or nothing'],
];

/** Checks what a plugin bound as MACHINE. Throws `ERR_PLUGIN_CONTRACT`. */
export function checkMachine(use: PluginUse, bound: unknown): Machine {
  checkMembers({ kind: 'machine', use, hook: 'MACHINE' }, bound, MACHINE);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- its members were just checked
  return bound as Machine;
}

/** Checks a booted machine. Throws `ERR_PLUGIN_CONTRACT`, once what can be disposed of the machine is disposed. */
export async function checkBooted(use: PluginUse, booted: unknown): Promise<BootedMachine> {
  const given = { kind: 'machine', use, hook: 'boot' } as const;
  try {
    checkMembers(given, booted, BOOTED);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- its members were just checked
    const machine = booted as BootedMachine;
    checkMembers({ ...given, hook: 'memory' }, machine.memory, MEMORY);
    checkMembers({ ...given, hook: 'faults' }, machine.faults, FAULTS);
    checkMembers({ ...given, hook: 'transport' }, machine.transport, TRANSPORT);
    return machine;
  } catch (error) {
    await disposeHalf('machine', use, booted);
    throw error;
  }
}
