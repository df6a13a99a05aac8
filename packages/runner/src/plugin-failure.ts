import { messageOf, stackFrames, type CodedError } from '@virtio-platform/core';
import { pluginSiteOf } from '@virtio-platform/profile';
import type { FailureReport } from './report.ts';

/** The most frames of a stack in a report. */
const MOST_FRAMES = 50;

/** Which plugin an error came out of; `null` where it came out of none. */
export function pluginReport(error: CodedError): FailureReport['plugin'] {
  const site = pluginSiteOf(error);
  if (site === undefined) return null;
  const { kind, plugin, hook, location } = site;
  return { kind, name: plugin, hook: hook ?? null, ...location };
}

/**
 * What was thrown first, with its stack: the cause of the error, or the error itself where a plugin threw it with a
 * code. `inside` is what was thrown inside the device, the cause of an error that has no other.
 */
export function causeReport(error: CodedError, inside?: { readonly thrown: unknown }): FailureReport['cause'] {
  const { cause } = error;
  if (cause !== undefined) return describeThrown(cause);
  if (pluginSiteOf(error) !== undefined) return describeThrown(error);
  return inside === undefined ? null : describeThrown(inside.thrown);
}

function describeThrown(thrown: unknown): NonNullable<FailureReport['cause']> {
  return { name: nameOf(thrown), message: messageOf(thrown), stack: stackFrames(thrown).slice(0, MOST_FRAMES) };
}

function nameOf(thrown: unknown): string | null {
  try {
    return thrown instanceof Error ? String(thrown.name) : null;
  } catch {
    return null;
  }
}
