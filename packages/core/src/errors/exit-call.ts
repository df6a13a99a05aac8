/** Thrown in place of an end of the process, out of the call that would have ended it. See {@link forbidExit}. */
export class ExitCallError extends Error {
  /** As the caller wrote it: `process.exit(3)`. */
  readonly exitCall: string;

  constructor(call: string) {
    super(`${call} was called`);
    this.name = 'ExitCallError';
    this.exitCall = call;
  }
}

/**
 * The call that an {@link ExitCallError} stands for, by its form, since there may be two copies of this package;
 * `undefined` for anything else that was thrown. Never throws.
 */
export function exitCallOf(thrown: unknown): string | undefined {
  try {
    if (!(thrown instanceof Error) || thrown.name !== 'ExitCallError' || !('exitCall' in thrown)) return undefined;
    return typeof thrown.exitCall === 'string' ? thrown.exitCall : undefined;
  } catch {
    return undefined;
  }
}

/** The ways in which a program ends its own process. */
export interface EndableProcess {
  exit(code?: number | string | null): never;
  abort(): never;
}

let forbidding = 0;
let allowed: Partial<EndableProcess> = {};

/**
 * Has each call with which code would end `process` throw {@link ExitCallError} instead, so that a plugin cannot take
 * the results of a command, or a thread, with it. Returns a function that allows them again.
 */
export function forbidExit(process: EndableProcess): () => void {
  // Several may forbid it at once: the last one to allow it gives the calls back.
  if (forbidding++ === 0) allowed = { exit: process.exit.bind(process), abort: process.abort.bind(process) };
  process.exit = refuse('exit');
  process.abort = refuse('abort');
  return () => {
    if (--forbidding === 0) Object.assign(process, allowed);
  };
}

function refuse(name: string): (code?: number | string | null) => never {
  return (code) => {
    throw new ExitCallError(`process.${name}(${code ?? ''})`);
  };
}
