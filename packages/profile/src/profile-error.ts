import { CodedError } from '@virtio-platform/core';
import type { SourceLocation } from './profile.ts';
import { formatIssue, type ProfileIssue } from './profile-issue.ts';

/** How many issues a message lists; `issues` always has all of them. */
const MAX_LISTED = 100;

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

/** A profile that cannot be used, with everything that is wrong with it. */
export class ProfileError extends CodedError {
  readonly issues: readonly ProfileIssue[];

  /** Takes at least one issue. */
  constructor(issues: readonly ProfileIssue[]) {
    const code = CODES.find((candidate) => issues.some((issue) => issue.code === candidate)) ?? 'ERR_PROFILE_INVALID';
    super(code, listIssues(issues), { hint: HINTS[code] });
    this.issues = issues;
  }

  /** Where the first issue stands. */
  get location(): SourceLocation {
    return this.issues[0]!;
  }
}

/** Lists issues, one a line. */
export function listIssues(issues: readonly ProfileIssue[]): string {
  const lines = issues.slice(0, MAX_LISTED).map(formatIssue);
  if (issues.length > MAX_LISTED) lines.push(`and ${issues.length - MAX_LISTED} more`);
  return lines.join('\n');
}
