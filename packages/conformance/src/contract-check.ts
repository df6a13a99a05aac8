import { describe, it } from 'vitest';

/**
 * One check of a contract: throws an assertion error when the subject breaks the contract. A suite is a list of checks,
 * so that a test can also show that each check catches a broken implementation.
 */
export interface ContractCheck<Subject> {
  /** Completes the sentence "it ...". Unique in its suite, and the same from release to release. */
  readonly name: string;
  /** The sentence of the contract that it holds the subject to, and whose it is: `DmaMapping.map: ...`. */
  readonly duty: string;
  /** What the author of a subject that fails does next. */
  readonly advice: string;
  /** Throws {@link CheckSkipped} where the duty does not apply to this subject. */
  run(subject: Subject): void | Promise<void>;
}

/** A check does not apply to its subject. The test shows as skipped, with the reason. */
export class CheckSkipped extends Error {
  override readonly name = 'CheckSkipped';
}

/** Ends a check that does not apply to its subject: throws {@link CheckSkipped} with the reason. */
export function skipCheck(reason: string): never {
  throw new CheckSkipped(reason);
}

/** A check has bounded waits of its own, longer than a test has by default: threads start, and machines boot. */
const TIMEOUT_MS = 60_000;

/** The check with this name. Throws `RangeError` for an unknown name. */
export function findCheck<Subject>(checks: readonly ContractCheck<Subject>[], name: string): ContractCheck<Subject> {
  const check = checks.find((candidate) => candidate.name === name);
  if (check === undefined) throw new RangeError(`no check is named "${name}"`);
  return check;
}

/**
 * Runs one check. The message of an error that it throws also says which sentence of the contract the subject broke,
 * and what to do.
 */
export async function runCheck<Subject>(check: ContractCheck<Subject>, subject: Subject): Promise<void> {
  await explained(check, async () => check.run(subject));
}

/** Makes each check one test; `tryCheck` sets up a subject for it, runs the check and disposes the subject. */
export function describeContract<Subject>(
  name: string,
  checks: readonly ContractCheck<Subject>[],
  tryCheck: (check: ContractCheck<Subject>) => Promise<void>,
): void {
  // oxlint-disable-next-line vitest/valid-title -- the caller names its subject
  describe(name, () => {
    for (const check of checks) {
      // oxlint-disable-next-line vitest/expect-expect, vitest/valid-title -- checks contain the assertions and the title
      it(check.name, { timeout: TIMEOUT_MS }, async (context) => {
        try {
          await explained(check, () => tryCheck(check));
        } catch (error) {
          if (error instanceof CheckSkipped) context.skip(error.message);
          throw error;
        }
      });
    }
  });
}

/** The checks whose error has its duty and advice already, so that nested runs do not say them twice. */
const explainedErrors = new WeakSet<Error>();

async function explained<Subject>(check: ContractCheck<Subject>, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    const wrong = error instanceof Error ? error : new Error(`a value that is no error was thrown: ${String(error)}`);
    if (wrong instanceof CheckSkipped || explainedErrors.has(wrong)) throw wrong;
    explainedErrors.add(wrong);
    const message = `${wrong.message}\n\ncontract: ${check.duty}\nwhat to do: ${check.advice}`;
    Object.defineProperty(wrong, 'message', { value: message, configurable: true, writable: true });
    throw wrong;
  }
}
