import type { BenchCase, BenchPart, BenchSubject } from './bench-case.ts';
import type { BenchFigure, BenchResult, BenchSettings } from './bench-report.ts';
import { measureSubject, type SubjectSample } from './measure-subject.ts';
import { leastOf, percentilesOf, type Percentiles } from './measured/samples.ts';
import type { CReference } from './processes/c-reference.ts';

/** What the processes of a case are run with. */
export interface CasePlaces {
  readonly settings: BenchSettings;
  readonly reference: CReference | undefined;
  /** The cores that processes are pinned to, in turn; none where they are not pinned. */
  readonly cores: readonly number[];
  readonly signal: AbortSignal | undefined;
}

/** A subject, and what its processes showed. */
interface MeasuredSubject {
  readonly subject: BenchSubject;
  readonly samples: readonly SubjectSample[];
}

/**
 * Measures a case: in each turn one process of each subject, on the same core, so that what else the machine does meets
 * all of them. Without a C compiler the references are left out. Rejects with `ERR_BENCH_PROCESS`.
 */
export async function measureCase(
  part: Pick<BenchPart, 'unit'>,
  { id, part: name, axes, subjects }: BenchCase,
  { settings, reference, cores, signal }: CasePlaces,
): Promise<BenchResult> {
  const found = subjects.map(() => [] as SubjectSample[]);
  for (let turn = 0; turn < settings.processes; turn++) {
    // The last core first: interrupts go to the first one, mostly.
    const coreOf = (at: number): number | undefined => cores[cores.length - 1 - (at % cores.length)];
    const place = { core: coreOf(turn), otherCore: coreOf(turn + 1), signal };
    for (const [at, subject] of subjects.entries()) {
      const sample = await measureSubject(subject, settings, reference, place);
      if (sample !== undefined) found[at]!.push(sample);
    }
  }
  const measured = subjects.map((subject, at) => ({ subject, samples: found[at]! }));
  const own = leastOf(measured[0]!.samples.map(({ best }) => best));
  return {
    id,
    part: name,
    unit: part.unit,
    axes,
    figures: measured.filter(({ samples }) => samples.length > 0).map((one) => figureOf(one, own)),
    baseline: null,
    times: null,
    pauses: pausesOf(measured[0]!),
  };
}

function figureOf({ subject, samples }: MeasuredSubject, own: number): BenchFigure {
  const processes = samples.map(({ best }) => best);
  const best = leastOf(processes);
  const bytes = samples.flatMap(({ bytesPerRequest }) => bytesPerRequest ?? []);
  return {
    subject: subject.name,
    best,
    processes,
    spread: spreadOf(processes),
    percentiles: pooled(samples),
    bytesPerRequest: bytes.length === 0 ? null : leastOf(bytes),
    ratio: own / best,
  };
}

/** What lies between the best and the worst, as a part of the best. */
export function spreadOf(processes: readonly number[]): number {
  const best = leastOf(processes);
  return (processes.reduce((most, each) => Math.max(most, each)) - best) / best;
}

/**
 * Percentiles over the samples of all processes; of requests that were timed one by one the worst process, because
 * percentiles cannot be added.
 */
function pooled(samples: readonly SubjectSample[]): Percentiles {
  const all = samples.flatMap(({ samples: each }) => each);
  if (all.length > 0) return percentilesOf(all);
  const worst = (which: keyof Percentiles): number => Math.max(...samples.map(({ percentiles }) => percentiles[which]));
  return { p50: worst('p50'), p90: worst('p90'), p99: worst('p99'), p999: worst('p999'), max: worst('max') };
}

function pausesOf({ samples }: MeasuredSubject): BenchResult['pauses'] {
  const pauses = samples.flatMap(({ pauses: each }) => each ?? []);
  if (pauses.length === 0) return null;
  const sum = (which: keyof (typeof pauses)[number]): number => pauses.reduce((total, each) => total + each[which], 0);
  return {
    requests: sum('requests'),
    aboveMillisecond: sum('aboveMillisecond'),
    collections: sum('collections'),
  };
}
