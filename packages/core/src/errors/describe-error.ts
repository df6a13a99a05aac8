import { stackFrames } from './internal-error.ts';
import { messageOf } from './message-of.ts';

/** Longest description of an error in characters: it goes into reports and through a mailbox of fixed size. */
const LONGEST = 400;

/**
 * An error in one line: its name and message, and the first frame of its stack, which says where a device half or a
 * platform is wrong. The operating system's own errors, such as ENOSPC, need no place. Never throws.
 */
export function describeError(error: unknown): string {
  return oneLine(error).slice(0, LONGEST);
}

function oneLine(error: unknown): string {
  try {
    if (!(error instanceof Error)) return `threw ${messageOf(error)}`;
    if ('syscall' in error) return messageOf(error);
    const [frame] = stackFrames(error);
    const what = `${error.name}: ${messageOf(error)}`.replaceAll(/\s+/g, ' ');
    return frame === undefined ? what : `${what}, ${frame}`;
  } catch {
    return 'threw an error that cannot be looked at';
  }
}
