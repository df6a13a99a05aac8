import { relative, resolve } from 'node:path';
import { CodedError, printable } from '@virtio-platform/core';
/** A place in a profile: the file as given, line and column from 1. */
export interface SourceLocation {
  /** Of a profile that came as text or as an object: its name in the base directory. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Of an object, whose lines and columns are 0: the keys that lead there, such as `platform.window`. */
  readonly key?: string;
}

/** Something in a source file: where it starts, and its first line. */
export interface Place {
  readonly location: SourceLocation;
  readonly text: string;
}

/** One thing that is wrong with a profile. */
export interface ProfileIssue extends SourceLocation {
  /** `ERR_PROFILE_*`, or `ERR_PLUGIN_*` where a plugin found it. */
  readonly code: string;
  /** Keys from the top, such as `queue.layout`; empty for the profile as a whole. */
  readonly path: string;
  /** The source text that is wrong, or that lacks something. */
  readonly text: string;
  /** A sentence without its subject, which is the path. */
  readonly message: string;
  /** What was probably meant. */
  readonly suggestion: string | undefined;
}

/** What an issue may have beside place and message. */
export interface IssueDetails {
  readonly code?: string;
  readonly suggestion?: string | undefined;
}

/** Makes an issue of what stands at `place`. */
export function issueAt(
  place: Place,
  path: readonly PropertyKey[],
  message: string,
  details: IssueDetails = {},
): ProfileIssue {
  const { code = 'ERR_PROFILE_INVALID', suggestion } = details;
  return { ...place.location, code, path: path.map(String).join('.'), text: place.text, message, suggestion };
}

/**
 * One line, as {@link printable} gives it: `file:line:column: path: message — did you mean ...?`. The place of an
 * object is its key, and stands there only where it is another one than the path: in a `matrix`.
 */
export function formatIssue(issue: ProfileIssue): string {
  const path = issue.path === '' ? '' : `${issue.path}: `;
  const suggestion = issue.suggestion === undefined ? '' : ` — did you mean \`${issue.suggestion}\`?`;
  const isInPath = issue.key !== undefined && path !== '' && `${issue.path}.`.startsWith(issue.key && `${issue.key}.`);
  // A file that is not there has no lines.
  const where = issue.code === 'ERR_PROFILE_NOT_FOUND' ? displayPath(issue.file) : displayLocation(issue);
  const place = isInPath ? '' : `${where}: `;
  return printable(`${place}${path}${issue.message}${suggestion}`);
}

/** A path as messages print it: relative to `folder`, the current one unless given, where that is no longer. */
export function displayPath(path: string, folder: string = process.cwd()): string {
  const whole = resolve(folder, path);
  const short = relative(folder, whole) || '.';
  return short.startsWith('..') && short.length > whole.length ? whole : short;
}

/**
 * A place as messages print it, in the form that editors and terminals make a link of: `file:line:column`. Of an object
 * it is the key.
 */
export function displayLocation(location: SourceLocation): string {
  if (location.key !== undefined) return location.key === '' ? displayPath(location.file) : location.key;
  return `${displayPath(location.file)}:${location.line}:${location.column}`;
}

/** Characters of offending text that an issue quotes. */
export const MAX_TEXT = 60;

/** Issues after which checking stops, so that the time it takes is bounded by the size of the profile. */
export const MAX_ISSUES = 100;

/** The codes of a profile that cannot be used, the one that hides most of the others first. */
const CODES = ['ERR_PROFILE_NOT_FOUND', 'ERR_PROFILE_EXTENDS', 'ERR_PROFILE_SYNTAX', 'ERR_PROFILE_MATRIX'] as const;

const HINTS: Readonly<Record<string, string>> = {
  ERR_PROFILE_NOT_FOUND: 'give the path of a YAML file; `virtio-platform list` shows the shipped profiles',
  ERR_PROFILE_EXTENDS: 'extends takes the path of another profile, relative to the file it stands in',
  ERR_PROFILE_SYNTAX: 'correct the YAML first: what follows a syntax error is not checked',
  ERR_PROFILE_MATRIX:
    'load it with loadProfiles, or turn the matrix off: a profile that extends this one can say `matrix: []`',
  ERR_PROFILE_INVALID:
    '`virtio-platform schema` writes a JSON Schema with which an editor completes and checks profiles',
};

/** A profile that cannot be used, with what is wrong with it: everything, or the first {@link MAX_ISSUES}. */
export class ProfileError extends CodedError {
  readonly issues: readonly ProfileIssue[];

  /** Takes at least one issue. */
  constructor(issues: readonly ProfileIssue[]) {
    const code = CODES.find((candidate) => issues.some((issue) => issue.code === candidate)) ?? 'ERR_PROFILE_INVALID';
    const first = issues.slice(0, MAX_ISSUES);
    super(code, listIssues(first), { hint: HINTS[code] });
    this.issues = first;
  }

  /** Where the first issue stands. */
  get location(): SourceLocation {
    return this.issues[0]!;
  }
}

/** Lists issues, one a line. */
export function listIssues(issues: readonly ProfileIssue[]): string {
  const end = issues.length < MAX_ISSUES ? [] : [`checking stopped after ${MAX_ISSUES} mistakes`];
  return [...issues.map(formatIssue), ...end].join('\n');
}
