import { CodedError, isCodedError } from './coded-error.ts';
import { hostErrorOf } from './host-error.ts';
import { messageOf } from './message-of.ts';

/** Stack frames in the hint. */
const FRAMES = 3;

/**
 * The coded error of anything that was thrown: the error itself where it has a code, what {@link hostErrorOf} makes of
 * it, or `ERR_INTERNAL` with the first frames of the stack. Never throws, whatever was thrown.
 */
export function codedErrorOf(thrown: unknown): CodedError {
  if (isCodedError(thrown)) return thrown;
  const ofHost = hostErrorOf(thrown);
  if (ofHost !== undefined) return ofHost;
  const stack = stackOf(thrown);
  const frames = stack.length === 0 ? '' : `, with ${stack.join(', ')}`;
  return new CodedError('ERR_INTERNAL', `${nameOf(thrown)}${messageOf(thrown)}`, {
    hint: `a mistake in virtio-platform or in a plugin: report the error and the profile${frames}`,
    cause: thrown,
  });
}

function nameOf(thrown: unknown): string {
  try {
    return thrown instanceof Error ? `${thrown.name}: ` : '';
  } catch {
    return '';
  }
}

function stackOf(thrown: unknown): string[] {
  return stackFrames(thrown).slice(0, FRAMES);
}

/** The frames of an error's stack, without indentation; empty for anything else. Never throws. */
export function stackFrames(thrown: unknown): string[] {
  try {
    const stack = thrown instanceof Error && typeof thrown.stack === 'string' ? thrown.stack : '';
    const lines = stack.split('\n').filter((line) => /^\s+at /.test(line));
    return lines.map((line) => line.trim());
  } catch {
    return [];
  }
}
