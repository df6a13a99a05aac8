import { setImmediate } from 'node:timers/promises';
import { CodedError, codedErrorOf } from '@virtio-platform/core';
import { isPluginAwaited } from '@virtio-platform/profile';

/** Milliseconds that work has to end by itself after something was thrown beside it. */
const GRACE_MS = 5000;

/** The work that is going on, the innermost last: only that is concerned by what is thrown meanwhile. */
const going: object[] = [];

/** What became of isolated work: its value, its error, or both where something else threw while it did its work. */
export interface Outcome<T> {
  readonly value: T | undefined;
  /** What was thrown first. */
  readonly error: CodedError | undefined;
}

/**
 * Runs `body` so that nothing in it ends the process: neither what it throws, nor what is thrown in a callback or
 * rejected without a handler meanwhile, nor a promise that never settles. Returns when `body` has ended, or cannot end
 * any more. `coded` makes the coded error of what was thrown; `isOther` tells that it has nothing to do with this work,
 * and is asked only of what is thrown beside it.
 */
export async function isolate<T>(
  body: () => Promise<T>,
  coded: (thrown: unknown) => CodedError = codedErrorOf,
  isOther: (thrown: unknown) => boolean = () => false,
): Promise<Outcome<T>> {
  let stray: CodedError | undefined;
  let timer: NodeJS.Timeout | undefined;
  const own = {};
  let abandon!: (outcome: Outcome<T>) => void;
  const abandoned = new Promise<Outcome<T>>((resolve) => (abandon = resolve));
  const onStray = (thrown: unknown): void => {
    if (going.at(-1) !== own || isOther(thrown)) return;
    stray ??= coded(thrown);
    timer ??= setTimeout(() => abandon({ value: undefined, error: stray }), GRACE_MS);
  };
  const onIdle = (): void => {
    // A step of a plugin that is awaited is given up by its guard, and the work goes on.
    if (going.at(-1) === own && !isPluginAwaited()) abandon({ value: undefined, error: stray ?? endlessWait() });
  };
  going.push(own);
  process.on('uncaughtException', onStray).on('unhandledRejection', onStray).on('beforeExit', onIdle);
  try {
    const settled = attempt(body, coded);
    const outcome = await Promise.race([settled, abandoned]);
    // What the last step left rejected is known only after this turn of the event loop.
    await setImmediate();
    return stray === undefined ? outcome : { value: outcome.value, error: stray };
  } finally {
    going.splice(going.indexOf(own), 1);
    clearTimeout(timer);
    process.off('uncaughtException', onStray).off('unhandledRejection', onStray).off('beforeExit', onIdle);
  }
}

async function attempt<T>(body: () => Promise<T>, coded: (thrown: unknown) => CodedError): Promise<Outcome<T>> {
  try {
    return { value: await body(), error: undefined };
  } catch (thrown) {
    return { value: undefined, error: coded(thrown) };
  }
}

function endlessWait(): CodedError {
  return new CodedError('ERR_INTERNAL', 'waits for something that cannot come: nothing is left that could bring it', {
    hint: 'a mistake in a plugin, or in virtio-platform: a promise of it never settles',
  });
}
