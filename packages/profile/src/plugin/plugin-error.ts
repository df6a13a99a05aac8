import { PluginError, printable, type ErrorCode } from '@virtio-platform/core';
import {
  displayLocation,
  formatIssue,
  issueAt,
  listIssues,
  type ProfileIssue,
  type SourceLocation,
} from '../source/profile-issue.ts';
import { displayUse, type PluginKind } from './plugin-use.ts';
import type { PluginUse } from '../schema/profile.ts';

/** The error of a plugin: its code, what is wrong, and what to do. */
export interface PluginProblem {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint: string;
  readonly suggestion?: string | undefined;
  readonly cause?: unknown;
}

/** A plugin that cannot be used, and where the profile names it. */
export class LocatedPluginError extends PluginError {
  readonly location: SourceLocation;
  /** The same as issues of the profile; of wrong options one for each. */
  readonly issues: readonly ProfileIssue[];

  constructor(kind: PluginKind, use: PluginUse, problem: PluginProblem, issues?: readonly ProfileIssue[]) {
    const { code, message, hint, cause, suggestion } = problem;
    const meant = suggestion === undefined ? '' : ` — did you mean \`${printable(suggestion)}\`?`;
    // One issue that says the same says where it is.
    const [only] = issues?.length === 1 && issues[0]!.message.startsWith(message) ? issues : [];
    const details = issues === undefined ? '' : `\n${listIssues(issues)}`;
    const where = printable(displayLocation(use.location));
    const text =
      only === undefined ? `${printable(message)} (${where})${meant}${details}` : formatIssue({ ...only, message });
    super(code, printable(displayUse(use.use)), text, {
      hint,
      cause,
    });
    this.location = use.location;
    const place = { location: use.location, text: use.use };
    const key = use.isShort === true ? 'type' : 'use';
    this.issues = issues ?? [issueAt(place, [kind, key], message, { code, suggestion })];
  }
}
