import { describeValue } from '@virtio-platform/core';
import { featureBit, featureRange, NO_DEVICE_FEATURES } from '@virtio-platform/core/features';
import { isFeatureSet } from '../guard/member-check.ts';
import { isRecord } from '../source/unknown-value.ts';

/** The treatments of used lengths that a device type may choose. */
const USED_LENGTHS: readonly unknown[] = [undefined, 'strict', 'clamp', 'ignore'];
/** Bytes of the longest configuration space. */
const MOST_CONFIG_BYTES = 4096;
/** When a back-end of vhost-user has its configuration. */
const VHOST_CONFIGS: readonly unknown[] = ['required', 'of-features', 'none'];

/**
 * Tells what contradicts itself in the tables of a device type, of which each member has its form; `undefined` where
 * nothing does. Completes "its ...".
 */
export function deviceTypeProblem(type: Readonly<Record<string, unknown>>): string | undefined {
  const { features, config, driver, vhostUser, cases } = type;
  if (!isRecord(features) || !isRecord(config) || !isRecord(driver)) return undefined;
  const rows = Array.isArray(features['rows']) ? features['rows'].filter(isRecord) : [];
  const bits = rows.map((row) => Number(row['bit']));
  return (
    rowsProblem(rows, bits) ??
    configProblem(config, bits) ??
    driverProblem(driver, bits) ??
    vhostUserProblem(vhostUser) ??
    casesProblem(cases)
  );
}

function rowsProblem(rows: readonly Readonly<Record<string, unknown>>[], bits: readonly number[]): string | undefined {
  const names = rows.map((row) => row['name']);
  for (const [at, row] of rows.entries()) {
    const [bit, name] = [bits[at]!, String(names[at])];
    if (bit < 0 || bit > 127 || featureRange(bit) !== 'device type')
      return `feature ${name} has bit ${bit}, which is not for device types (specification 1.4 section 2.2)`;
    if (name === '' || featureBit(name, NO_DEVICE_FEATURES) !== undefined)
      return `feature ${bit} has the name ${describeValue(name)}, which is none of its own`;
    const same = bits.indexOf(bit);
    if (same !== at) return `features have bit ${bit} twice: ${String(names[same])} and ${name}`;
    if (names.indexOf(name) !== at) return `features have the name ${name} twice`;
    if (!isRequirements(row['requires'])) return `feature ${name} has the wrong requires (bits, or lists of bits)`;
  }
  return undefined;
}

function isRequirements(value: unknown): boolean {
  return value === undefined || (Array.isArray(value) && value.every((entry: unknown) => isBits(entry)));
}

/** A bit, or several. */
function isBits(value: unknown): boolean {
  const bits: readonly unknown[] = Array.isArray(value) ? value : [value];
  return bits.length > 0 && bits.every((bit) => Number.isInteger(bit) && Number(bit) >= 0 && Number(bit) <= 127);
}

function configProblem(config: Readonly<Record<string, unknown>>, rows: readonly number[]): string | undefined {
  const fields = Object.entries(config).map(([name, field]) => ({ name, ...(isRecord(field) ? field : {}) }));
  let end = 0;
  let last = '';
  for (const field of fields.toSorted((a, b) => offsetOf(a) - offsetOf(b))) {
    const { name } = field;
    const [offset, width] = [offsetOf(field), Number(Reflect.get(field, 'width'))];
    const feature: unknown = Reflect.get(field, 'feature');
    if (offset + width > MOST_CONFIG_BYTES) return `config field ${name} ends behind byte ${MOST_CONFIG_BYTES}`;
    if (offset < end) return `config fields ${last} and ${name} overlap at byte ${offset}`;
    const needed: readonly unknown[] = feature === undefined ? [] : Array.isArray(feature) ? feature : [feature];
    const unknown = needed.find((bit) => !rows.includes(Number(bit)));
    if (unknown !== undefined)
      return `config field ${name} exists with feature ${describeValue(unknown)}, which has no row`;
    [end, last] = [offset + width, name];
  }
  return undefined;
}

function offsetOf(field: object): number {
  return Number(Reflect.get(field, 'offset'));
}

function driverProblem(driver: Readonly<Record<string, unknown>>, rows: readonly number[]): string | undefined {
  const { features, usedLength } = driver;
  if (!isFeatureSet(features)) return `driver.features is ${describeValue(features)}, not a FeatureSet`;
  const bits = featureBits(features);
  const unknown = bits.find((bit) => featureRange(bit) === 'device type' && !rows.includes(bit));
  if (unknown !== undefined) return `driver.features has bit ${unknown}, which has no row in features`;
  const declined = declinesProblem(driver['declines']);
  if (declined !== undefined) return declined;
  if (usedLength === undefined) return undefined;
  const policies = isRecord(usedLength) ? [usedLength['modern'], usedLength['legacy']] : [usedLength];
  const wrong = policies.find((policy) => !USED_LENGTHS.includes(policy));
  return wrong === undefined ? undefined : `driver.usedLength is ${describeValue(wrong)}, not strict, clamp or ignore`;
}

/** What is wrong with the features that the driver half cannot work with. */
function declinesProblem(declines: unknown): string | undefined {
  if (declines === undefined) return undefined;
  if (!Array.isArray(declines)) return `driver.declines is ${describeValue(declines)}, not a list`;
  const wrong: unknown = declines.find((entry) => !isDeclined(entry));
  if (wrong === undefined) return undefined;
  return `driver.declines has ${describeValue(wrong)}, which is not a feature with a reason`;
}

function isDeclined(value: unknown): boolean {
  if (!isRecord(value)) return false;
  const { feature, reason } = value;
  return Number.isInteger(feature) && isBits(feature) && typeof reason === 'string' && reason !== '';
}

/** The bits of a set of features, ascending. */
function featureBits(features: unknown): number[] {
  const bits: unknown = Reflect.get(Object(features), 'bits');
  if (typeof bits !== 'bigint') return [];
  return Array.from({ length: 128 }, (_, bit) => bit).filter((bit) => ((bits >> BigInt(bit)) & 1n) === 1n);
}

function vhostUserProblem(vhostUser: unknown): string | undefined {
  if (!isRecord(vhostUser)) return undefined;
  const { queues, counted, config, drains, frontEnd, qemuDevice } = vhostUser;
  const isCounted = [queues, counted].every((count) => Number.isInteger(count) && Number(count) >= 1);
  if (!isCounted) return 'vhostUser has the wrong queues or counted (whole numbers from 1 on)';
  if (!VHOST_CONFIGS.includes(config))
    return `vhostUser.config is ${describeValue(config)}, not required, of-features or none`;
  if (typeof drains !== 'boolean') return `vhostUser.drains is ${describeValue(drains)}, not true or false`;
  if (!['string', 'undefined'].includes(typeof qemuDevice))
    return `vhostUser.qemuDevice is ${describeValue(qemuDevice)}, not a name`;
  const isRight = frontEnd === undefined || typeof frontEnd === 'function';
  return isRight ? undefined : `vhostUser.frontEnd is ${describeValue(frontEnd)}, not a function`;
}

function casesProblem(cases: unknown): string | undefined {
  if (!isRecord(cases)) return undefined;
  const { cases: list, clauses, queues, open, unprepared } = cases;
  const areLists = [list, clauses, queues].every(Array.isArray);
  const isRight = areLists && typeof open === 'function' && typeof unprepared === 'function';
  return isRight ? undefined : 'cases lack cases, clauses or queues (lists), or open or unprepared (functions)';
}
