import { issueAt, MAX_ISSUES, type Place, type ProfileIssue } from './profile-issue.ts';
import { closest } from './suggestion.ts';
import { isRecord } from './unknown-value.ts';
/** An issue as schemas report it. The members that zod adds make better messages; other libraries may not have them. */
export interface RawIssue {
  readonly message: string;
  readonly path: readonly PropertyKey[];
  readonly code?: unknown;
  readonly keys?: unknown;
  readonly values?: unknown;
  readonly expected?: unknown;
  readonly minimum?: unknown;
  readonly maximum?: unknown;
  readonly origin?: unknown;
  readonly params?: unknown;
  readonly errors?: unknown;
  readonly options?: unknown;
}

/** What was checked, and where its parts stand. */
export interface CheckedSource {
  /** What goes before the paths of issues. */
  readonly prefix: readonly PropertyKey[];
  /** The value at a path, `undefined` for none. */
  valueAt(path: readonly PropertyKey[]): unknown;
  placeOf(path: readonly PropertyKey[], part: 'value' | 'key'): Place;
  /** The keys that may stand at a path. */
  knownKeys(path: readonly PropertyKey[]): readonly string[];
}

/** An issue, and whether it says that something is not there. */
export interface TranslatedIssue {
  readonly issue: ProfileIssue;
  readonly isMissing: boolean;
}

/**
 * Says in the words of profiles what a schema found, each at its own place: an unknown key at the key, a missing one at
 * the map that lacks it. A misspelt key is one mistake and not two, although another key is then missing. Stops after
 * {@link MAX_ISSUES}.
 */
export function translateIssues(raw: readonly RawIssue[], source: CheckedSource, code: string): TranslatedIssue[] {
  const misspelt = new Set<string>();
  const translated: TranslatedIssue[] = [];
  const add = (
    path: readonly PropertyKey[],
    part: 'value' | 'key',
    message: string,
    suggestion: string | undefined,
  ): void => {
    const issue = issueAt(source.placeOf(path, part), [...source.prefix, ...path], message, { code, suggestion });
    translated.push({ issue, isMissing: false });
  };
  const addUnknownKey = (parent: readonly PropertyKey[], key: string, suggestion: string | undefined): void => {
    if (suggestion !== undefined) misspelt.add(pathKey([...parent, suggestion]));
    add([...parent, key], 'key', `unknown key \`${key}\``, suggestion);
  };

  for (const { keys, path } of raw.filter(isUnknownKeys)) {
    const known = source.knownKeys(path);
    for (const key of keys.slice(0, MAX_ISSUES - translated.length)) addUnknownKey(path, key, closest(key, known));
  }
  for (const issue of raw) {
    if (translated.length >= MAX_ISSUES) break;
    const { path } = issue;
    if (isUnknownKeys(issue) || misspelt.has(pathKey(path))) continue;
    if (path.length === 0 || source.valueAt(path) !== undefined) {
      const value = source.valueAt(path);
      const [message, suggestion] = describe(issue, value);
      const { text } = source.placeOf(path, 'value');
      const quotes = message.startsWith('must ') && !isRecord(value) && value !== null;
      add(path, 'value', quotes ? `${message}, not \`${text}\`` : message, suggestion);
      continue;
    }
    const parent = path.slice(0, -1);
    const key = String(path.at(-1));
    // Where other keys are allowed, the schema takes a misspelt key for one of those.
    const instead = closest(key, unknownKeysAt(source, parent));
    if (instead !== undefined) {
      addUnknownKey(parent, instead, key);
      continue;
    }
    const place = source.placeOf(path, 'key');
    const missing = issueAt(place, [...source.prefix, ...path], `\`${key}\` is missing`, { code });
    translated.push({ issue: missing, isMissing: true });
  }
  return translated;
}

type Description = readonly [message: string, suggestion?: string | undefined];

function describe(issue: RawIssue, value: unknown): Description {
  switch (issue.code) {
    case 'invalid_type':
      return [describeType(String(issue.expected), value)];
    case 'invalid_value':
      return describeChoice(issue.values, value) ?? [issue.message];
    case 'invalid_union':
      return describeChoice(issue.options, value) ?? [describeBranches(issue, value)];
    case 'too_small':
      return [describeLimit(issue.origin, 'at least', issue.minimum)];
    case 'too_big':
      return [describeLimit(issue.origin, 'at most', issue.maximum)];
    default: {
      const suggestion = isRecord(issue.params) ? issue.params['suggestion'] : undefined;
      return [issue.message, typeof suggestion === 'string' ? suggestion : undefined];
    }
  }
}

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  bigint: 'a whole number',
  boolean: 'true or false',
  object: 'a map',
  record: 'a map',
  array: 'a list',
};

function describeType(expected: string, value: unknown): string {
  const wanted = TYPE_NAMES[expected] ?? expected;
  if (typeof value === 'bigint' && wanted.endsWith('number')) return 'is too large';
  if (value === null) return `must be ${wanted}; nothing is given`;
  if (Array.isArray(value)) return `must be ${wanted}, not a list`;
  return isRecord(value) ? `must be ${wanted}, not a map` : `must be ${wanted}`;
}

function describeChoice(values: unknown, value: unknown): Description | undefined {
  if (!Array.isArray(values) || values.length === 0) return undefined;
  const names = values.map(String);
  const message = names.length === 1 ? `must be ${names[0]}` : `must be one of ${names.join(', ')}`;
  return [message, typeof value === 'string' ? closest(value, names) : undefined];
}

/** A value that fits no form of several: what each of them wanted. */
function describeBranches({ errors, message }: RawIssue, value: unknown): string {
  const branches = (Array.isArray(errors) ? errors : []) as readonly (readonly RawIssue[])[];
  const wanted = branches
    .flatMap((branch) => branch.slice(0, 1))
    .map((issue) => {
      const [text] = describe(issue, issue.path.length === 0 ? value : undefined);
      return issue.path.length === 0 ? text : `${issue.path.map(String).join('.')}: ${text}`;
    });
  return wanted.length === 0 ? message : [...new Set(wanted)].join('; or ');
}

function describeLimit(origin: unknown, bound: string, limit: unknown): string {
  if (origin === 'string') return limit === 1 ? 'must not be empty' : `must have ${bound} ${String(limit)} characters`;
  if (origin === 'array') return `must have ${bound} ${String(limit)} items`;
  return `must be ${bound} ${String(limit)}`;
}

function isUnknownKeys(issue: RawIssue): issue is RawIssue & { readonly keys: readonly string[] } {
  return issue.code === 'unrecognized_keys' && Array.isArray(issue.keys);
}

function unknownKeysAt(source: CheckedSource, path: readonly PropertyKey[]): string[] {
  const value = source.valueAt(path);
  if (!isRecord(value)) return [];
  const known = source.knownKeys(path);
  return Object.keys(value).filter((key) => !known.includes(key));
}

function pathKey(path: readonly PropertyKey[]): string {
  return path.map(String).join('\0');
}
