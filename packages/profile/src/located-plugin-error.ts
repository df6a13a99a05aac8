import { PluginError, type ErrorCode } from '@virtio-platform/core';
import { displayLocation } from './display-path.ts';
import { displayUse, type PluginKind } from './plugin-use.ts';
import type { PluginUse, SourceLocation } from './profile.ts';
import { listIssues } from './profile-error.ts';
import { issueAt, type ProfileIssue } from './profile-issue.ts';

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
    const meant = suggestion === undefined ? '' : ` — did you mean \`${suggestion}\`?`;
    const details = issues === undefined ? '' : `\n${listIssues(issues)}`;
    super(code, displayUse(use.use), `${message} (${displayLocation(use.location)})${meant}${details}`, {
      hint,
      cause,
    });
    this.location = use.location;
    const place = { location: use.location, text: use.use };
    this.issues = issues ?? [issueAt(place, [kind, 'use'], message, { code, suggestion })];
  }
}
