import type { DeviceTypePlugin, DriverHalf, OptionsSchema, WorkloadType } from '@virtio-platform/core';
import { validateOptions, type GivenOptions } from '../plugin/check-options.ts';
import type { LoadedDeviceType } from '../plugin/load-device-type.ts';
import { RESERVED_KEYS } from '../plugin/plugin-use.ts';
import { nodeAt, placeOf, plainValue, type MapNode, type SourceNode } from '../source/source-node.ts';
import { displayLocation } from '../source/profile-issue.ts';
import type { TranslatedIssue } from '../source/translate-issues.ts';
import { resolve } from 'node:path';
import { resolveBeside } from '../source/read-sources.ts';
import { aDevice, type DeviceVocabulary } from './device-vocabulary.ts';
import { schemaKeys, optionsJsonSchema } from './options-json-schema.ts';
import { workloadSchema } from './workload-section.ts';

/** A value that a schema accepted. */
interface Accepted {
  readonly value: unknown;
}

/** What only the device type can read of a profile, as far as it could be read. */
export interface TypedValues {
  readonly type: DeviceTypePlugin | undefined;
  readonly settings: Accepted | undefined;
  readonly workload: WorkloadType<unknown, DriverHalf, unknown> | undefined;
  readonly options: Accepted | undefined;
  readonly issues: readonly TranslatedIssue[];
}

/** The values that only a device type can read, where they could not be read. */
export function unreadValues(type: DeviceTypePlugin | undefined): TypedValues {
  return { type, settings: undefined, workload: undefined, options: undefined, issues: [] };
}

/**
 * Reads the keys of the sections `device` and `workload` that are the device type's own, with its schemas. Throws the
 * coded error of a schema that does something wrong.
 */
export async function readTypedValues(
  root: MapNode,
  { use, type }: LoadedDeviceType,
  vocabulary: DeviceVocabulary,
  timeoutMs?: number,
): Promise<TypedValues> {
  if (type === undefined || use === undefined) return unreadValues(type);
  const check = async (
    given: Omit<GivenOptions, 'plugin' | 'use'>,
    schema: OptionsSchema<unknown>,
  ): ReturnType<typeof validateOptions> =>
    await validateOptions({ ...given, plugin: 'device', use }, schema, 'ERR_PROFILE_INVALID', timeoutMs);
  const device = givenOptions(root, 'device', RESERVED_KEYS.device, type.paths ?? []);
  const settings = await check(device, type.options);
  const kind = nodeAt(root, ['workload', 'kind']);
  const workload =
    kind?.kind === 'scalar' && typeof kind.value === 'string' && Object.hasOwn(type.workloads, kind.value)
      ? type.workloads[kind.value]
      : undefined;
  const common = Object.keys(workloadSchema(vocabulary).shape);
  const options =
    workload && (await check(givenOptions(root, 'workload', common, workload.paths ?? []), workload.options));
  const wrong = settings.issues?.map((issue) => {
    const has = ({ options: schema }: DeviceTypePlugin): boolean => hasKey(schema, issue, 'device');
    const decided = [
      ['device', 'type'],
      ['device', 'use'],
    ].find((path) => nodeAt(root, path) !== undefined)!;
    return vocabulary.others.some(has) ? foreignKey(issue, aDevice(type.name), root, decided) : issue;
  });
  const wrongOptions = options?.issues?.map((issue) => {
    const has = ({ options: schema }: WorkloadType<unknown, DriverHalf, unknown>): boolean =>
      hasKey(schema, issue, 'workload');
    const isForeign = Object.values(type.workloads).some(has);
    return isForeign ? foreignKey(issue, String(plainValue(kind!)), root, ['workload', 'kind']) : issue;
  });
  return {
    type,
    settings: settings.issues === undefined ? settings : undefined,
    workload,
    options: options?.issues === undefined ? options : undefined,
    issues: [...(wrong ?? []), ...(wrongOptions ?? [])],
  };
}

/** The keys of a section but those that every profile has, with paths resolved beside the file that has them. */
function givenOptions(
  root: MapNode,
  section: string,
  common: readonly string[],
  paths: readonly string[],
): Omit<GivenOptions, 'plugin' | 'use'> {
  const node = nodeAt(root, [section]);
  const entries = node?.kind === 'map' ? [...node.entries] : [];
  const options = entries
    .filter(([key]) => !common.includes(key))
    .map(([key, { value }]) => [key, resolvedValue(value, [key], paths)] as const);
  return {
    section,
    commonKeys: common,
    options: Object.fromEntries(options),
    placeOf: (path, part) => placeOf(root, [section, ...path], part),
  };
}

/** The plain value of the setting `at`, with the paths in it resolved beside the file that has each. */
function resolvedValue(node: SourceNode, at: readonly string[], paths: readonly string[]): unknown {
  const name = at.join('.');
  if (node.kind === 'scalar') {
    const plain = plainValue(node);
    const isPath = paths.includes(name) && typeof plain === 'string' && plain !== '';
    return isPath ? resolve(resolveBeside(node.location, plain)) : plain;
  }
  if (!paths.some((path) => path.startsWith(`${name}.`))) return plainValue(node);
  if (node.kind === 'list') return node.items.map((item) => resolvedValue(item, at, paths));
  const entries = Array.from(node.entries, ([key, { value }]) => [key, resolvedValue(value, [...at, key], paths)]);
  return Object.fromEntries(entries);
}

/** Whether a schema has the key of a section that another schema does not know. */
function hasKey(schema: OptionsSchema<unknown>, { issue }: TranslatedIssue, section: string): boolean {
  if (!issue.message.startsWith('unknown key') || issue.suggestion !== undefined) return false;
  return schemaKeys(optionsJsonSchema(schema) ?? {}, []).includes(issue.path.slice(section.length + 1));
}

/**
 * Says of a key that others of its kind have that `what` has it not; where another file than that of the key names it
 * (`decided`), also where: the file of the key may be right by itself.
 */
function foreignKey(found: TranslatedIssue, what: string, root: MapNode, decided: readonly string[]): TranslatedIssue {
  const { issue } = found;
  const { location } = placeOf(root, decided);
  const where = location.file === issue.file ? '' : ` (${decided.join('.')} is at ${displayLocation(location)})`;
  const key = issue.path.slice(decided[0]!.length + 1);
  return { ...found, issue: { ...issue, message: `${what} has no ${key}${where}` } };
}
