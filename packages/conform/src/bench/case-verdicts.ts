import { CaseEnd } from './case-end.ts';

/** How a case ends before its last step: what each bench has for it. */
export abstract class CaseVerdicts {
  /** Fails the case where what was seen is not right. */
  equal<Value extends number | bigint | string | boolean>(what: string, seen: Value, right: Value): void {
    if (seen !== right) this.fail(`${what} is ${seen}, and has to be ${right}`);
  }

  /** Fails the case, with what was seen, unless it is right. */
  check(isRight: boolean, seen: string): void {
    if (!isRight) this.fail(seen);
  }

  /** Fails the case. */
  fail(seen: string): never {
    throw new CaseEnd('fail', seen);
  }

  /** Ends a case that does not apply. */
  skip(why: string): never {
    throw new CaseEnd('skip', why);
  }
}
