import { CodedError, isCodedError } from './coded-error.ts';

/** Stack frames in the hint. */
const FRAMES = 3;

/**
 * The coded error of anything that was thrown: the error itself where it has a code, `ERR_INTERNAL` with the first
 * frames of the stack otherwise. Never throws, whatever was thrown.
 */
export function codedErrorOf(thrown: unknown): CodedError {
  if (isCodedError(thrown)) return thrown;
  const stack = stackOf(thrown);
  const name = thrown instanceof Error ? `${thrown.name}: ` : '';
  const frames = stack.length === 0 ? '' : `, with ${stack.join(', ')}`;
  return new CodedError('ERR_INTERNAL', `${name}${messageOf(thrown)}`, {
    hint: `a mistake in virtio-platform or in a plugin: report the error and the profile${frames}`,
    cause: thrown,
  });
}

/** The message of anything that was thrown, also of a value that is no error. Never throws. */
export function messageOf(thrown: unknown): string {
  try {
    return thrown instanceof Error ? thrown.message : String(thrown);
  } catch {
    return 'a value that has no text';
  }
}

function stackOf(thrown: unknown): string[] {
  const stack = thrown instanceof Error && typeof thrown.stack === 'string' ? thrown.stack : '';
  const frames = stack.split('\n').filter((line) => /^\s+at /.test(line));
  return frames.slice(0, FRAMES).map((line) => line.trim());
}
