import { CodedError } from '../errors/coded-error.ts';

/** Throws {@link CodedError} `ERR_QUEUE_STATE` unless `isRight`: a saved queue comes from a file or another process, and is not believed. */
export function demand(isRight: boolean, what: string): asserts isRight {
  if (isRight) return;
  throw new CodedError('ERR_QUEUE_STATE', `the saved queue cannot be restored: ${what}`, {
    hint: 'restore what `save` gave, unchanged, into a queue with the same features and mapping',
  });
}

export function demandRecord(value: unknown, what: string): Readonly<Record<string, unknown>> {
  demand(typeof value === 'object' && value !== null && !Array.isArray(value), `${what} is no object`);
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- an object, whose fields are still unknown
  return value as Readonly<Record<string, unknown>>;
}

export function demandList(value: unknown, most: number, what: string): readonly unknown[] {
  demand(Array.isArray(value) && value.length <= most, `${what} is no list of at most ${most}`);
  return value;
}

export function demandInteger(value: unknown, least: number, most: number, what: string): number {
  const isInside = typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most;
  demand(isInside, `${what} is not in ${least}..${most}`);
  return value;
}
