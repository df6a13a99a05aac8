import { C_CHECKED, type BenchFigure, type BenchReport, type BenchResult } from '@virtio-platform/bench';

/** Less than this is never told from noise. */
const LEAST_NOISE = 0.03;

/** A case of two reports. Times in the unit of its part. */
export interface BenchChange {
  readonly id: string;
  readonly before: number;
  readonly now: number;
  /** How many times as long it takes now. */
  readonly change: number;
  /** The same of the ratios to C, where both reports have one: it does not see that a machine is faster. */
  readonly changeAgainstC: number | null;
  /** The largest spread between the processes of a figure that the change is made of; 0.03 at least. */
  readonly noise: number;
  readonly verdict: 'slower' | 'faster' | 'same';
}

/** What differs between two reports. */
export interface BenchComparison {
  readonly before: Pick<BenchReport, 'startedAt' | 'toolVersion' | 'machine'>;
  /** Cases of both reports, in the order of the later one. */
  readonly changes: readonly BenchChange[];
  /** Cases of the later report alone. */
  readonly added: readonly string[];
}

/**
 * Compares the figures of this project in two reports. The verdict is on the ratio to C where both have one, and on the
 * time where not; it is `same` where the change is within the noise.
 */
export function compareBenches(before: BenchReport, now: BenchReport): BenchComparison {
  const { startedAt, toolVersion, machine } = before;
  const old = new Map(before.results.map((result) => [result.id, result]));
  return {
    before: { startedAt, toolVersion, machine },
    changes: now.results.flatMap((result) => {
      const was = old.get(result.id);
      return was === undefined ? [] : changeOf(was, result);
    }),
    added: now.results.flatMap(({ id }) => (old.has(id) ? [] : id)),
  };
}

function changeOf(was: BenchResult, is: BenchResult): BenchChange {
  const own = [was.figures[0]!, is.figures[0]!] as const;
  const inC = [checkedC(was), checkedC(is)] as const;
  const [cBefore, cNow] = inC;
  const change = own[1].best / own[0].best;
  const changeAgainstC = cBefore === undefined || cNow === undefined ? null : cNow.ratio / cBefore.ratio;
  const figures = changeAgainstC === null ? own : [...own, cBefore!, cNow!];
  const noise = Math.max(LEAST_NOISE, ...figures.map(({ spread }) => spread));
  const decisive = changeAgainstC ?? change;
  const verdict = decisive > 1 + noise ? 'slower' : decisive < 1 / (1 + noise) ? 'faster' : 'same';
  return { id: is.id, before: own[0].best, now: own[1].best, change, changeAgainstC, noise, verdict };
}

function checkedC({ figures }: BenchResult): BenchFigure | undefined {
  return figures.find(({ subject }) => subject === C_CHECKED);
}
