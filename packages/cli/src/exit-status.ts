/** What the command's exit status says. */
export const ExitStatus = {
  AsExpected: 0,
  /** A run differed from what was expected, or faulted. */
  Differed: 1,
  /** Wrong usage, or a bad profile or plugin. */
  Usage: 2,
  /** Something the profile needs is not installed here. */
  Missing: 3,
} as const;
export type ExitStatus = (typeof ExitStatus)[keyof typeof ExitStatus];

/** What each exit status says, as help and the manual page have it. */
export const EXIT_STATUSES: readonly (readonly [ExitStatus, string])[] = [
  [ExitStatus.AsExpected, 'as expected'],
  [ExitStatus.Differed, 'a run differed from what was expected, faulted or failed; or, where asked, a matrix changed'],
  [ExitStatus.Usage, 'wrong usage, a bad profile or a bad plugin'],
  [ExitStatus.Missing, 'something that a profile needs is not installed here'],
];

/** The exit status of an error. One that lists issues is about the text of a profile. */
export function exitStatusOf({ code, issues }: { readonly code: string; readonly issues?: unknown }): ExitStatus {
  if (code === 'ERR_MACHINE_MISSING') return ExitStatus.Missing;
  if (Array.isArray(issues) && issues.length > 0) return ExitStatus.Usage;
  return /^ERR_(PROFILE|PLUGIN|NEW|RUN|EXPLAIN|MATRIX|TRACE|REPORT|CONFORM|BENCH_(?!PROCESS))/.test(code)
    ? ExitStatus.Usage
    : ExitStatus.Differed;
}

/** Of several, the one to exit with: wrong usage before a missing installation before a difference. */
export function worstStatus(a: ExitStatus, b: ExitStatus): ExitStatus {
  const order: readonly ExitStatus[] = [
    ExitStatus.AsExpected,
    ExitStatus.Differed,
    ExitStatus.Missing,
    ExitStatus.Usage,
  ];
  return order.indexOf(a) >= order.indexOf(b) ? a : b;
}
