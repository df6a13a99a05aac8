import { CodedError } from '../../errors/coded-error.ts';

/**
 * Throws {@link CodedError} `ERR_QUEUE_STATE` with `problem` unless `isValid`. A saved queue comes from a file or
 * another process, so every value of it is checked.
 */
export function checkSaved(isValid: boolean, problem: string): asserts isValid {
  if (isValid) return;
  throw new CodedError('ERR_QUEUE_STATE', `the saved queue cannot be restored: ${problem}`, {
    hint: 'restore what `save` gave, unchanged, into a queue with the same features and mapping',
  });
}

/** Checks that `value` is an object, whose fields are still unchecked. Throws as {@link checkSaved}. */
export function savedRecord(value: unknown, name: string): Readonly<Record<string, unknown>> {
  checkSaved(typeof value === 'object' && value !== null && !Array.isArray(value), `${name} is not an object`);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- an object, whose fields are still unknown
  return value as Readonly<Record<string, unknown>>;
}

/** Checks that `value` is an array of at most `most` unchecked elements. Throws as {@link checkSaved}. */
export function savedList(value: unknown, most: number, name: string): readonly unknown[] {
  checkSaved(Array.isArray(value) && value.length <= most, `${name} is not a list of at most ${most}`);
  return value;
}

/** Checks that `value` is an integer from `least` to `most`. Throws as {@link checkSaved}. */
export function savedInteger(value: unknown, least: number, most: number, name: string): number {
  const isInside = typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most;
  checkSaved(isInside, `${name} is not in ${least}..${most}`);
  return value;
}
