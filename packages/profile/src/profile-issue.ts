import { displayLocation } from './display-path.ts';
import type { SourceLocation } from './profile.ts';

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

/** One line: `file:line:column: path: message — did you mean ...?`. */
export function formatIssue(issue: ProfileIssue): string {
  const path = issue.path === '' ? '' : `${issue.path}: `;
  const suggestion = issue.suggestion === undefined ? '' : ` — did you mean \`${issue.suggestion}\`?`;
  return `${displayLocation(issue)}: ${path}${issue.message}${suggestion}`;
}
