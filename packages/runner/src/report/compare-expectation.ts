import type { ExpectSection, Profile, QueueSection } from '@virtio-platform/profile';
import type { RunReport } from './report.ts';

/**
 * Says where a run differs from what its profile expects, one sentence each; nothing when it does not. What a profile
 * leaves out is expected to go well: completed and verified, no fault, none recorded, no finding, nothing left mapped
 * or leaked. Where a run ends otherwise than it should, what did not come any more is no difference of its own.
 */
export function compareExpectation(
  report: Omit<RunReport, 'differences'>,
  { expect, queue }: Pick<Profile, 'expect' | 'queue'>,
): string[] {
  const differences: string[] = [];
  const compare = (what: string, expected: unknown, was: unknown): void => {
    if (expected !== was) differences.push(`${what}: expected ${String(expected)}, was ${String(was)}`);
  };
  const otherwise = expect.failure === undefined ? 'completed' : 'failed';
  const outcome = expect.outcome ?? (expect.refusal === undefined ? otherwise : 'refused');
  compare('outcome', outcome, report.outcome);
  if (expect.refusal !== undefined) compare('refusal', expect.refusal, report.refusal?.code ?? 'none');
  if (expect.failure !== undefined) compare('failure', expect.failure, report.failure?.code ?? 'none');
  const isCut = isCutShort(report, outcome, expect.failure);
  const compareCount = (what: string, expected: number, was: number): void => {
    if (!isCut || was > expected) compare(what, expected, was);
  };
  if (outcome !== 'refused' && !(isCut && report.path === null))
    compareNegotiation(report, expect, differences, compare);
  if (report.queue !== null && expect.queue !== 'any') differences.push(...compareQueue(report.queue, queue));
  const missed = report.notifications?.device?.missed ?? 0;
  // A run that fails may end between a buffer that is shown and its notification; one that stalls, for want of it.
  const isAsked = report.outcome !== 'failed' || (isCut && report.failure?.code === 'ERR_DEVICE_STALLED');
  if (missed > 0 && isAsked)
    differences.push(`the device wanted ${missed} available buffer notifications that did not come`);
  compareCount('faults', expect.faults ?? 0, report.faults.length);
  compareCount('recorded faults', expect.recorded ?? 0, report.recorded.length);
  if (expect.configChanges !== undefined)
    compareCount('configuration changes', expect.configChanges, report.configuration.changes);
  compareCount('findings', expect.findings ?? 0, report.sanitizer?.findings ?? 0);
  compare('live mappings after reset', 0, report.dma.live);
  compareCount('leaked', expect.leaked ?? 0, report.leaked.count);
  if (report.outcome === 'completed') compare('verified', expect.verified ?? true, report.workload.verified);
  return differences;
}

/** Whether a run ended before its end, and not as it should: with a failure or a refusal, or with another failure. */
function isCutShort(
  { outcome, failure }: Pick<RunReport, 'outcome' | 'failure'>,
  expected: RunReport['outcome'],
  code: string | undefined,
): boolean {
  if (outcome === 'completed') return false;
  return outcome !== expected || (code !== undefined && failure?.code !== code);
}

/** What of a run a difference may be about, as it begins. */
export type ComparedPart =
  | 'outcome'
  | 'refusal'
  | 'failure'
  | 'faults'
  | 'recorded faults'
  | 'findings'
  | 'leaked'
  | 'verified';

/** Whether a run is in this other than its profile expects. */
export function differsIn({ differences }: Pick<RunReport, 'differences'>, part: ComparedPart): boolean {
  return differences.some((difference) => difference.startsWith(`${part}: `));
}

/** What the profile asks of the queue, and did not get. */
function compareQueue(obtained: NonNullable<RunReport['queue']>, { layout, size }: QueueSection): string[] {
  const differences: string[] = [];
  if (layout !== obtained.layout) differences.push(`queue.layout: asked for ${layout}, obtained ${obtained.layout}`);
  if (size !== undefined && size !== obtained.size)
    differences.push(`queue.size: asked for ${size}, obtained ${obtained.size}`);
  return differences;
}

/** A refused device has neither features nor a path, so what a base profile expects of them does not count. */
function compareNegotiation(
  report: Omit<RunReport, 'differences'>,
  expect: ExpectSection,
  differences: string[],
  compare: (what: string, expected: unknown, was: unknown) => void,
): void {
  if (expect.path !== undefined) compare('path', expect.path, report.path ?? 'none');
  if (expect.accepted !== undefined) compareSets('accepted', expect.accepted, report.features.accepted, differences);
  if (expect.declined === undefined) return;
  const declined = report.features.declined.map(({ feature }) => feature);
  compareSets('declined', expect.declined, declined, differences);
}

function compareSets(what: string, expected: readonly string[], was: readonly string[], differences: string[]): void {
  const missing = expected.filter((name) => !was.includes(name));
  const extra = was.filter((name) => !expected.includes(name));
  if (missing.length > 0) differences.push(`${what}: ${missing.join(', ')} expected and not there`);
  if (extra.length > 0) differences.push(`${what}: ${extra.join(', ')} not expected`);
}
