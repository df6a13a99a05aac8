import { z } from 'zod';
import type { DeviceVocabulary } from './device-vocabulary.ts';
import type { RawIssue } from '../source/translate-issues.ts';
import { isRecord, type UnknownRecord } from '../source/unknown-value.ts';
import {
  isOpenSection,
  isRequiredSection,
  SECTIONS,
  sectionSchemas,
  TOP_FIELDS,
  type CheckedProfile,
  type SectionName,
} from './profile-schema.ts';

/** Each value that could be read, whether or not others could. */
export type ReadableValues = { readonly [Section in SectionName]: Partial<CheckedProfile[Section]> };

/** A profile of which each value was parsed once. */
export interface ProfileReading {
  /** All values; `undefined` where there are issues. */
  readonly checked: CheckedProfile | undefined;
  readonly issues: readonly RawIssue[];
  /**
   * The values that could be read. The default of a key that is not given counts only in a section for which `isSound`
   * is true: in another the key may be there and be misspelt.
   */
  readableValues(isSound: (section: SectionName) => boolean): ReadableValues;
}

interface ReadValue {
  readonly value: unknown;
  readonly isGiven: boolean;
}

type ReadFields = ReadonlyMap<string, ReadValue>;

/** Parses each value of a profile by the schema of its key. */
export function readProfile(profile: UnknownRecord, vocabulary: DeviceVocabulary): ProfileReading {
  const issues: RawIssue[] = [];
  const sections = new Map<string, ReadFields>();
  const top = readFields(TOP_FIELDS, profile, [], issues);
  const schemas = sectionSchemas(vocabulary);
  for (const section of SECTIONS) {
    sections.set(section, readSection(section, schemas[section].shape, profile[section], issues));
  }
  noteUnknownKeys(profile, [...Object.keys(TOP_FIELDS), ...sections.keys()], [], issues);
  const objects = (isWanted: (section: string, value: ReadValue) => boolean): UnknownRecord =>
    Object.fromEntries(Array.from(sections, ([section, fields]) => [section, objectOf(fields, section, isWanted)]));
  return {
    checked:
      issues.length > 0
        ? undefined
        : // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- each value passed the schema of its key
          ({ ...objectOf(top, '', () => true), ...objects(() => true) } as unknown as CheckedProfile),
    issues,
    readableValues: (isSound) =>
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- each value passed the schema of its key
      objects((section, { isGiven }) => isGiven || isSound(section as SectionName)) as unknown as ReadableValues,
  };
}

function readSection(
  section: string,
  fields: Readonly<Record<string, z.ZodType>>,
  given: unknown,
  issues: RawIssue[],
): ReadFields {
  if (given === undefined && !isRequiredSection(section)) return readFields(fields, {}, [section], issues);
  if (!isRecord(given) || Array.isArray(given)) {
    issues.push({ code: 'invalid_type', expected: 'object', path: [section], message: 'must be a map' });
    return new Map();
  }
  const read = readFields(fields, given, [section], issues);
  if (!isOpenSection(section)) noteUnknownKeys(given, Object.keys(fields), [section], issues);
  return read;
}

function readFields(
  fields: Readonly<Record<string, z.ZodType>>,
  given: UnknownRecord,
  path: readonly string[],
  issues: RawIssue[],
): ReadFields {
  const read = new Map<string, ReadValue>();
  for (const [key, schema] of Object.entries(fields)) {
    const isGiven = given[key] !== undefined;
    if (!isGiven && schema instanceof z.ZodExactOptional) continue;
    const result = schema.safeParse(given[key]);
    if (result.success) read.set(key, { value: result.data, isGiven });
    else for (const issue of result.error.issues) issues.push({ ...issue, path: [...path, key, ...issue.path] });
  }
  return read;
}

function noteUnknownKeys(
  given: UnknownRecord,
  known: readonly string[],
  path: readonly string[],
  issues: RawIssue[],
): void {
  const keys = Object.keys(given).filter((key) => !known.includes(key));
  if (keys.length > 0) issues.push({ code: 'unrecognized_keys', keys, path, message: 'unknown keys' });
}

function objectOf(
  fields: ReadFields,
  section: string,
  isWanted: (section: string, value: ReadValue) => boolean,
): UnknownRecord {
  const wanted = [...fields].filter(([, value]) => isWanted(section, value));
  return Object.fromEntries(wanted.map(([key, { value }]) => [key, value]));
}
