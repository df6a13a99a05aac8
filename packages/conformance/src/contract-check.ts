import { describe, it } from 'vitest';

/**
 * One check of a contract: throws an assertion error when the subject breaks the contract. A suite is a list of checks,
 * so that a test can also show that each check catches a broken implementation.
 */
export interface ContractCheck<Subject> {
  /** Completes the sentence "it ...". */
  readonly name: string;
  run(subject: Subject): void | Promise<void>;
}

/** The check with this name. Throws `RangeError` for an unknown name. */
export function findCheck<Subject>(checks: readonly ContractCheck<Subject>[], name: string): ContractCheck<Subject> {
  const check = checks.find((candidate) => candidate.name === name);
  if (check === undefined) throw new RangeError(`no check is named "${name}"`);
  return check;
}

/** Makes each check one test; `tryCheck` sets up a subject for it, runs the check and disposes the subject. */
export function describeContract<Subject>(
  name: string,
  checks: readonly ContractCheck<Subject>[],
  tryCheck: (check: ContractCheck<Subject>) => Promise<void>,
): void {
  // oxlint-disable-next-line vitest/valid-title -- the caller names its subject
  describe(name, () => {
    // oxlint-disable-next-line vitest/expect-expect, vitest/valid-title -- checks contain the assertions and the title
    for (const check of checks) it(check.name, () => tryCheck(check));
  });
}
