/** Longest description of an error in characters: it goes into reports and through a mailbox of fixed size. */
const LONGEST = 400;

/**
 * An error in one line: its name and message, and the first frame of its stack, which says where a device half or a
 * platform is wrong. The operating system's own errors, such as ENOSPC, need no place.
 */
export function describeError(error: unknown): string {
  return oneLine(error).slice(0, LONGEST);
}

function oneLine(error: unknown): string {
  if (!(error instanceof Error)) return `threw ${String(error)}`;
  const { name, message, stack = '' } = error;
  if ('syscall' in error) return message;
  const frame = stack.split('\n').find((line) => /^\s+at /.test(line));
  const what = `${name}: ${message}`.replaceAll(/\s+/g, ' ');
  return frame === undefined ? what : `${what}, ${frame.trim()}`;
}
