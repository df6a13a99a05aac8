import {
  describeValue,
  type FacilityProblem,
  type MachineDiscovery,
  type MissingRequirement,
  type SchemaIssue,
  type SchemaResult,
} from '@virtio-platform/core';
import { TRANSPORT_KINDS, type BusKind } from '@virtio-platform/core/features';
import type { AddressingProblem, MemoryRange } from '@virtio-platform/core/dma';
import type { PluginUse } from '../schema/profile.ts';
import { isRecord } from '../source/unknown-value.ts';
import { checkMembers, isOneOf, isText, type MemberCheck } from './member-check.ts';
import type { PluginKind } from '../plugin/plugin-use.ts';
import { contractError } from './thrown-by-plugin.ts';

const isText0 = (value: unknown): boolean => typeof value === 'string';
const isList = (value: unknown): boolean => Array.isArray(value);

const MISSING: readonly MemberCheck[] = [
  ['what', isText, 'a text'],
  ['fix', isText0, 'a text'],
];
const PROBLEM: readonly MemberCheck[] = [
  ['message', isText, 'a text'],
  ['hint', isText0, 'a text'],
];
const ADDRESSING_PROBLEM: readonly MemberCheck[] = [
  ['about', isOneOf('addressBits', 'minAlignMask'), 'addressBits or minAlignMask'],
  ...PROBLEM,
];
const isAddress = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0;
const RANGE: readonly MemberCheck[] = [
  ['first', isAddress, 'an address'],
  ['end', isAddress, 'an address'],
];
const ISSUE: readonly MemberCheck[] = [
  ['message', isText0, 'a text'],
  ['path', (value) => value === undefined || (Array.isArray(value) && value.every(isSegment)), 'a list of keys'],
];
const SURVEY: readonly MemberCheck[] = [
  ['missing', isList, 'a list'],
  ['devices', isList, 'a list'],
];
const SURVEYED: readonly MemberCheck[] = [
  ['name', isText, 'a text'],
  ['what', isText0, 'a text'],
  ['details', (value) => isRecord(value) && Object.values(value).every(isText0), 'texts by name'],
  ['missing', isList, 'a list'],
];

function isSegment(segment: unknown): boolean {
  const key = isRecord(segment) ? segment['key'] : segment;
  return typeof key === 'string' || typeof key === 'number' || typeof key === 'symbol';
}

/** Checks what the `missing` of a machine answered. Throws `ERR_PLUGIN_CONTRACT`, as all of this file. */
export function checkMissing(use: PluginUse, answer: unknown): readonly MissingRequirement[] {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the members of each entry were checked
  return checkList('machine', use, 'missing', answer, MISSING) as readonly MissingRequirement[];
}

/** Checks what the `programs` of a machine answered. */
export function checkPrograms(use: PluginUse, answer: unknown): readonly string[] | undefined {
  if (answer === undefined) return undefined;
  if (Array.isArray(answer) && answer.every(isText)) return answer;
  throw contractError('machine', use, 'programs', `returned ${describeValue(answer)}, not a list of texts`);
}

/** Checks what a machine cannot have: what its hook `memoryProblem` or `facilityProblem` answered. */
export function checkMachineProblem(
  use: PluginUse,
  hook: 'memoryProblem' | 'facilityProblem',
  answer: unknown,
): FacilityProblem | undefined {
  return answer === undefined
    ? undefined
    : checkMembers<FacilityProblem>({ kind: 'machine', use, hook }, answer, PROBLEM);
}

/** Checks what the `needsWith` of a platform answered. */
export function checkNeedsWith(use: PluginUse, answer: unknown): readonly symbol[] {
  if (answer === undefined) return [];
  const tokens: readonly unknown[] | undefined = Array.isArray(answer) ? [...answer] : undefined;
  if (tokens?.every((token) => typeof token === 'symbol') === true) return tokens;
  throw contractError('platform', use, 'needsWith', `returned ${describeValue(answer)}, not a list of tokens`);
}

/** Checks what the `addressingProblem` of a platform answered. */
export function checkAddressingProblem(use: PluginUse, answer: unknown): AddressingProblem | undefined {
  if (answer === undefined) return undefined;
  checkMembers({ kind: 'platform', use, hook: 'addressingProblem' }, answer, ADDRESSING_PROBLEM);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- its members were just checked
  return answer as AddressingProblem;
}

/** Checks what the `memoryRange` of a machine answered. */
export function checkMemoryRange(use: PluginUse, answer: unknown): MemoryRange {
  checkMembers({ kind: 'machine', use, hook: 'memoryRange' }, answer, RANGE);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- its members were just checked
  return answer as MemoryRange;
}

/** Checks what the `simulatedAs` of a machine answered. */
export function checkSimulatedAs(use: PluginUse, answer: unknown): Readonly<Record<string, unknown>> {
  if (answer === undefined) return {};
  // Nothing else has its options as keys of its own: a promise, a map.
  const prototype: unknown = isRecord(answer) ? Object.getPrototypeOf(answer) : undefined;
  if (isRecord(answer) && (prototype === Object.prototype || prototype === null)) return answer;
  throw contractError('machine', use, 'simulatedAs', `returned ${describeValue(answer)}, not options by name`);
}

/** Checks what the `transport` of a machine answered. */
export function checkTransportKind(use: PluginUse, answer: unknown): BusKind | undefined {
  if (answer === undefined) return undefined;
  const bus = TRANSPORT_KINDS.find((kind) => kind === answer);
  if (bus !== undefined && bus !== 'legacy') return bus;
  throw contractError('machine', use, 'transport', `returned ${describeValue(answer)}, not pci, mmio or channel-io`);
}

/** Checks why a platform cannot do something: what its hook `needsRequesterId` or `refusesExec` answered. */
export function checkRefusal(
  use: PluginUse,
  hook: 'needsRequesterId' | 'refusesExec',
  answer: unknown,
): string | undefined {
  if (answer === undefined || (typeof answer === 'string' && answer !== '')) return answer;
  throw contractError('platform', use, hook, `returned ${describeValue(answer)}, not a text or nothing`);
}

/** Checks what the `discover` of a machine answered. */
export function checkDiscovery(use: PluginUse, answer: unknown): MachineDiscovery {
  const given = { kind: 'machine', use, hook: 'discover' } as const;
  checkMembers(given, answer, SURVEY);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- its members were just checked
  const discovery = answer as MachineDiscovery;
  checkList('machine', use, 'discover', discovery.missing, MISSING);
  for (const device of discovery.devices) {
    checkMembers(given, device, SURVEYED);
    checkList('machine', use, 'discover', device.missing, MISSING);
  }
  return discovery;
}

/** Checks what the schema of a plugin made of its options. */
export function checkSchemaResult(kind: PluginKind, use: PluginUse, result: unknown): SchemaResult<unknown> {
  const hook = 'options';
  if (!isRecord(result)) throw contractError(kind, use, hook, `returned ${describeValue(result)}, not a result`);
  const { issues } = result;
  if (issues === undefined) {
    if (!('value' in result)) throw contractError(kind, use, hook, 'returned a result without value and issues');
    return { value: result['value'] };
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the members of each entry were checked
  const checked = checkList(kind, use, hook, issues, ISSUE) as readonly SchemaIssue[];
  if (checked.length === 0) throw contractError(kind, use, hook, 'refused the options and named no issue');
  return { issues: checked };
}

function checkList(
  kind: PluginKind,
  use: PluginUse,
  hook: string,
  answer: unknown,
  members: readonly MemberCheck[],
): readonly object[] {
  if (!Array.isArray(answer)) throw contractError(kind, use, hook, `returned ${describeValue(answer)}, not a list`);
  for (const entry of answer) checkMembers({ kind, use, hook }, entry, members);
  return answer;
}
