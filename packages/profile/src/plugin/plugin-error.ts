import { isCodedError, PluginError, type ErrorCode } from '@virtio-platform/core';
import {
  displayLocation,
  issueAt,
  listIssues,
  type ProfileIssue,
  type SourceLocation,
} from '../source/profile-issue.ts';
import { displayUse, type PluginKind } from './plugin-use.ts';
import type { PluginUse } from '../schema/profile.ts';
import { errorMessage } from '../source/unknown-value.ts';

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

/**
 * Runs code of a plugin. What it throws by intention has a code and passes; anything else becomes `ERR_PLUGIN_HOOK`.
 */
export async function runHook<T>(
  kind: PluginKind,
  use: PluginUse,
  hook: string,
  body: () => T | Promise<T>,
): Promise<T> {
  try {
    return await body();
  } catch (error) {
    throw hookError(kind, use, hook, error);
  }
}

/** As {@link runHook}, for what has to return at once. */
export function runHookSync<T>(kind: PluginKind, use: PluginUse, hook: string, body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw hookError(kind, use, hook, error);
  }
}

function hookError(kind: PluginKind, use: PluginUse, hook: string, cause: unknown): unknown {
  if (isCodedError(cause)) return cause;
  return new LocatedPluginError(kind, use, {
    code: 'ERR_PLUGIN_HOOK',
    message: `its \`${hook}\` threw: ${errorMessage(cause)}`,
    hint: 'this is a mistake in the plugin; the cause has the stack',
    cause,
  });
}
