import {
  describeValue,
  REQUEST_MISTAKES,
  type AvailableRequest,
  type DeviceDriver,
  type DeviceTypePlugin,
  type DiskImage,
  type DriverHalf,
  type QemuArguments,
  type QemuDevice,
  type RequestMistake,
  type VhostUserDevice,
  type VhostUserFrontEnd,
} from '@virtio-platform/core';
import type { PluginUse } from '../schema/profile.ts';
import { isRecord } from '../source/unknown-value.ts';
import { guardWorkloadType } from './guarded-workload.ts';
import { checkMembers, isCount, isFeatureSet, isFunction, isText, orAbsent, type MemberCheck } from './member-check.ts';
import { runHookSync } from './run-hook.ts';
import { contractError } from './thrown-by-plugin.ts';

/** Queues that a device can have (specification 1.4 section 2.6: an index has 16 bits). */
const MOST_QUEUES = 0x1_0000;

const DRIVER: readonly MemberCheck[] = [
  ['dispose', isFunction, 'a function'],
  ['configChanged', orAbsent(isFunction), 'a function, or nothing'],
];

const IMAGE: readonly MemberCheck[] = [
  ['path', orAbsent(isText), 'a path, or nothing'],
  ['capacity', isCount, 'bytes'],
];

const MISTAKE: readonly MemberCheck[] = [
  ['kind', (value) => REQUEST_MISTAKES.some((kind) => kind === value), 'a kind of mistake'],
  ['clause', isText, 'a section of the specification'],
  ['what', isText, 'a text'],
  ['segment', orAbsent(isCount), 'a whole number from 0 on, or nothing'],
];

const isTextList = (value: unknown): boolean =>
  Array.isArray(value) && value.every((entry) => typeof entry === 'string');

const ARGUMENTS: readonly MemberCheck[] = [
  ['device', (value) => isRecord(value) && isText(value['driver']), 'an object with driver'],
  ['before', orAbsent(isTextList), 'a list of texts, or nothing'],
  ['after', orAbsent(isTextList), 'a list of texts, or nothing'],
];

const FRONT_END: readonly MemberCheck[] = [
  ['adds', isFeatureSet, 'a FeatureSet'],
  ['hides', isFeatureSet, 'a FeatureSet'],
  ['queueCount', isCount, 'a whole number from 0 on'],
  ['config', (value) => value instanceof Uint8Array, 'a Uint8Array'],
];

/**
 * A device type of a plugin, behind checks: what it gives is checked, and what it throws in a member that calls no
 * other plugin is its own. The other members call the platform and the machine: there the stack tells whose error it
 * is. Halves of a device go to those who work with them as they are.
 */
export function guardDeviceType(use: PluginUse, type: DeviceTypePlugin): DeviceTypePlugin {
  const { qemu, vhostUser } = type;
  const run = <T>(hook: string, body: () => T): T => runHookSync('device', use, hook, body);
  const workloads = Object.entries(type.workloads).map(
    ([kind, workload]) => [kind, guardWorkloadType(use, kind, workload)] as const,
  );
  return {
    ...type,
    driver: guardDriver(use, type.driver),
    workloads: Object.fromEntries(workloads),
    model: (settings, byteOrder) => run('model', () => type.model(settings, byteOrder)),
    ...(type.image !== undefined && {
      image(settings: unknown): DiskImage {
        const image: unknown = run('image', () => type.image!(settings));
        return checkMembers({ kind: 'device', use, hook: 'image' }, image, IMAGE);
      },
    }),
    ...(type.checkRequest !== undefined && {
      checkRequest(request: AvailableRequest): RequestMistake | undefined {
        const hook = 'checkRequest';
        const mistake: unknown = run(hook, () => type.checkRequest!(request));
        return mistake === undefined ? undefined : checkMembers({ kind: 'device', use, hook }, mistake, MISTAKE);
      },
    }),
    ...(qemu !== undefined && { qemu: guardQemu(use, qemu) }),
    ...(vhostUser !== undefined && { vhostUser: guardVhostUser(use, vhostUser) }),
  };
}

function guardDriver(use: PluginUse, driver: DeviceTypePlugin['driver']): DeviceDriver<DriverHalf> {
  return {
    features: driver.features,
    ...(driver.declines !== undefined && { declines: driver.declines }),
    ...(driver.usedLength !== undefined && { usedLength: driver.usedLength }),
    queues(device) {
      const hook = 'driver.queues';
      const indices: unknown = driver.queues(device);
      const wrong = queuesProblem(indices);
      if (wrong !== undefined) throw contractError('device', use, hook, wrong);
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- just checked
      return indices as readonly number[];
    },
    open(context) {
      const hook = 'driver.open';
      const half: unknown = driver.open(context);
      return checkMembers({ kind: 'device', use, hook }, half, DRIVER);
    },
  };
}

/** What is wrong with the queues that a driver half uses; completes "its `driver.queues` ...". */
function queuesProblem(indices: unknown): string | undefined {
  if (!Array.isArray(indices)) return `returned ${describeValue(indices)}, not a list`;
  if (indices.length === 0) return 'returned no queue';
  const wrong = indices.findIndex((index) => !isCount(index) || index >= MOST_QUEUES);
  if (wrong >= 0) return `returned ${describeValue(indices[wrong])}, no index of a queue`;
  const twice = indices.findIndex((index, at) => indices.indexOf(index) !== at);
  return twice < 0 ? undefined : `returned queue ${indices[twice]} twice`;
}

function guardQemu(use: PluginUse, qemu: QemuDevice<unknown>): QemuDevice<unknown> {
  return {
    arguments(settings, resources): QemuArguments {
      const hook = 'qemu.arguments';
      const given: unknown = runHookSync('device', use, hook, () => qemu.arguments(settings, resources));
      return checkMembers({ kind: 'device', use, hook }, given, ARGUMENTS);
    },
  };
}

function guardVhostUser(use: PluginUse, vhostUser: VhostUserDevice<unknown>): VhostUserDevice<unknown> {
  const { queues, counted, config, drains } = vhostUser;
  const facts = { queues, counted, config, drains };
  if (vhostUser.frontEnd === undefined) return facts;
  return {
    ...facts,
    frontEnd(settings, count): VhostUserFrontEnd {
      const hook = 'vhostUser.frontEnd';
      const given: unknown = runHookSync('device', use, hook, () => vhostUser.frontEnd!(settings, count));
      return checkMembers({ kind: 'device', use, hook }, given, FRONT_END);
    },
  };
}
