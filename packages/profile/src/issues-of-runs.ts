import type { RunCheck } from './check-run.ts';
import { formatIssue, type ProfileIssue } from './profile-issue.ts';

/** Lists what is wrong with the runs of a profile, each mistake once, whatever number of runs it stands in. */
export function issuesOfRuns(checks: readonly RunCheck[]): ProfileIssue[] {
  return [...distinctIssues(checks.flatMap(({ issues }) => issues)), ...contradictionsOf(checks)];
}

export function distinctIssues(issues: readonly ProfileIssue[]): ProfileIssue[] {
  return [...new Map(issues.map((issue) => [formatIssue(issue), issue])).values()];
}

/** A contradiction that only some runs have names the first of them: where it stands, nothing may look wrong. */
function contradictionsOf(checks: readonly RunCheck[]): ProfileIssue[] {
  const found = new Map<string, { readonly issue: ProfileIssue; readonly name: string; runs: number }>();
  for (const { name, contradictions } of checks) {
    for (const issue of contradictions) {
      const known = found.get(formatIssue(issue));
      if (known === undefined) found.set(formatIssue(issue), { issue, name, runs: 1 });
      else known.runs++;
    }
  }
  return Array.from(found.values(), ({ issue, name, runs }) =>
    runs === checks.length ? issue : { ...issue, message: `${issue.message} (in ${name})` },
  );
}
