import { describe, it } from 'vitest';

/**
 * One named promise of a contract, tried on a subject: throws an assertion when it is broken. The suites are lists of these,
 * so that a test can also show that a broken implementation fails the check that is meant to catch it.
 */
export interface ContractCheck<Subject> {
  /** Completes the sentence "it ...". */
  readonly name: string;
  run(subject: Subject): void | Promise<void>;
}

/** The check of that name. Throws `RangeError` for a name that no check has. */
export function findCheck<Subject>(checks: readonly ContractCheck<Subject>[], name: string): ContractCheck<Subject> {
  const check = checks.find((candidate) => candidate.name === name);
  if (check === undefined) throw new RangeError(`no check is named "${name}"`);
  return check;
}

/** Makes each check one test; `tryCheck` sets up a subject for it and gives it back. */
export function describeContract<Subject>(
  name: string,
  checks: readonly ContractCheck<Subject>[],
  tryCheck: (check: ContractCheck<Subject>) => Promise<void>,
): void {
  // oxlint-disable-next-line vitest/valid-title -- the caller names its subject
  describe(name, () => {
    // oxlint-disable-next-line vitest/expect-expect, vitest/valid-title -- checks assert by themselves and carry their sentence
    for (const check of checks) it(check.name, () => tryCheck(check));
  });
}
