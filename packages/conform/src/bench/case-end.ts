/** What a case found; `skip` where the device cannot be tried with it. */
export type Verdict = 'pass' | 'fail' | 'hang' | 'gone' | 'skip';

/** What an attacker gains by a failure. */
export type Severity = 'host-memory' | 'crash' | 'wedged' | 'none';

/** Ends a case before its last line, with what was seen. */
export class CaseEnd extends Error {
  readonly verdict: Exclude<Verdict, 'pass'>;
  readonly severity: Severity;

  constructor(verdict: Exclude<Verdict, 'pass'>, seen: string, severity: Severity = 'none') {
    super(seen);
    this.verdict = verdict;
    this.severity = severity;
  }
}
