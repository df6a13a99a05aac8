import {
  describeMismatches,
  describeRing,
  findingRequest,
  isShownOtherwise,
  type FaultReport,
  type RunReport,
} from '@virtio-platform/runner';
import { explainedFailures } from './explained-failure.ts';

/** The most of each kind that the page lists. */
const MOST_LISTED = 8;

/** Why a run is not as expected, in the order in which people ask. */
export interface RunProblem {
  /** What happened, in one sentence, and its code where it has one. */
  readonly what: string;
  readonly code: string | undefined;
  /** Where: each a place in words. */
  readonly where: readonly string[];
  /** What else is known: what followed, what else differs. */
  readonly also: readonly string[];
  /** What to do next; `undefined` where the report has nothing. */
  readonly next: string | undefined;
  /** The first byte that differs of data that came back. */
  readonly bytes: readonly { readonly place: string; readonly expected: number; readonly actual: number }[];
  /** What the program that is the device printed last. */
  readonly output: string | undefined;
  /** The stack of what was thrown. */
  readonly stack: readonly string[];
}

/** Says why a run is not as expected; `undefined` where it is. */
export function problemOf(report: RunReport): RunProblem | undefined {
  const { failure, refusal, workload, differences } = report;
  const explained = explainedFailures(report);
  if (differences.length === 0) return undefined;
  const mismatches = describeMismatches(otherMismatches(report));
  const refused = refusal === null ? [] : [`The device was refused by the rule ${refusal.rule}: ${refusal.reason}`];
  const decided = refusal?.option == null ? [] : [`decided by ${refusal.option}`];
  const failed = failure === null ? [] : [failure.message];
  const told = explained.map(({ what }) => what);
  const others = differences.filter((difference) => !isShownOtherwise(difference, report));
  const [what = differences[0]!, ...also] = [...told, ...failed, ...refused, ...mismatches, ...others];
  return {
    what,
    code: failure?.code ?? refusal?.code,
    where: [
      ...decided,
      ...explained.map(({ where }) => where),
      ...placesOf(report),
      ...(failure?.rings ?? []).slice(0, 4).map(describeRing),
    ],
    also: [
      ...explained.flatMap(({ notes }) => notes),
      ...(failure?.later ?? []).map(({ message, code }) => `then: ${message} [${code}]`),
      ...new Set(also.filter((other) => other !== what)),
    ],
    next: explained[0]?.next ?? failure?.hint ?? changeOf(refusal) ?? undefined,
    bytes: workload.mismatches.first.flatMap(({ what: place, difference }) =>
      difference === null
        ? []
        : [{ place: `${place}, byte ${difference.offset}`, expected: difference.expected, actual: difference.actual }],
    ),
    output: failure?.program?.stderrTail || undefined,
    stack: failure?.cause?.stack ?? [],
  };
}

/** The mismatches that are not explained. */
function otherMismatches({ workload, explanations }: RunReport): RunReport['workload']['mismatches'] {
  const explained = new Set(explanations.map(({ place }) => place.request));
  const { mismatches } = workload;
  return { ...mismatches, first: mismatches.first.filter(({ request }) => !explained.has(request)) };
}

/** A refused access in words. */
export function describeFault({ access, length, address, cause, detail }: FaultReport): string {
  return `${access} of ${length} bytes at ${address}: ${cause}${detail === undefined ? '' : ` (${detail})`}`;
}

/** Where things went wrong: the plugin, the accesses, the findings, what leaked. */
function placesOf({ failure, faults, recorded, findings, leaked }: RunReport): string[] {
  const plugin = failure?.plugin;
  return [
    ...(plugin ? [`plugin ${plugin.name}, ${plugin.file}:${plugin.line}:${plugin.column}`] : []),
    ...listed(faults, (fault) => `fault: ${describeFault(fault)}`),
    ...listed(recorded, (fault) => `recorded by the IOMMU: ${describeFault(fault)}`),
    ...listed(findings, (finding) => {
      const { code, what, queue, descriptor, misusedAt, mappedAt } = finding;
      const request = findingRequest(finding).map((word) => `, ${word}`);
      const buffer = queue === null ? '' : `, queue ${queue}${descriptor === null ? '' : `, buffer ${descriptor}`}`;
      const [frame] = [...misusedAt, ...(mappedAt ?? [])];
      return `${code}: ${what}${request.join('')}${buffer}${frame === undefined ? '' : `, ${frame}`}`;
    }),
    ...listed(leaked.first, ({ what, address, length }) => `leaked: ${length} bytes at ${address}: ${what}`),
  ];
}

function listed<T>(all: readonly T[], describe: (each: T) => string): string[] {
  const more = all.length - MOST_LISTED;
  return [...all.slice(0, MOST_LISTED).map(describe), ...(more > 0 ? [`and ${more} more of this kind`] : [])];
}

function changeOf(refusal: RunReport['refusal']): string | undefined {
  if (refusal === null) return undefined;
  const changes = Object.entries(refusal.change).map(([where, what]) => `${where}: ${what}`);
  return changes.length === 0 ? undefined : `any one of these changes is enough: ${changes.join('; ')}`;
}
