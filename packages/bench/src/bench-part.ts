import type { CReference } from './c-reference.ts';

/** How much is measured. */
export interface BenchSettings {
  readonly requests: number;
  readonly samples: number;
}

/** What a part of the benchmarks found. */
export interface BenchTable {
  /** What the columns mean and how it was measured, in a line or two. */
  readonly heading: string;
  readonly columns: readonly string[];
  /** How many of the columns, from the first, say which case it is. */
  readonly named: number;
  readonly rows: readonly (readonly string[])[];
  /** The same for programs. */
  readonly results: readonly object[];
}

/** One of the things that `npm run bench` measures. */
export type BenchPart = (reference: CReference | undefined, settings: BenchSettings) => BenchTable;

/** The table as text, names to the left and numbers to the right. */
export function formatTable({ heading, columns, named, rows }: BenchTable): string {
  const lines = [columns, ...rows];
  const widths = columns.map((_, column) => Math.max(...lines.map((line) => line[column]!.length)));
  const pad = (cell: string, column: number): string =>
    column < named ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!);
  return `${heading}\n\n${lines.map((line) => line.map(pad).join('  ').trimEnd()).join('\n')}\n`;
}

/** Half of what lies between the quartiles, as a part of the median: how far to trust it. */
export function noiseOf(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const quartile = (part: number): number => sorted[Math.round(part * (sorted.length - 1))]!;
  return (quartile(0.75) - quartile(0.25)) / 2 / medianOf(samples);
}

/** The best sample: what it costs where nothing else wanted the core. */
export function leastOf(samples: readonly number[]): number {
  return samples.reduce((least, sample) => Math.min(least, sample));
}

/** The median of samples, in any order; of an even number the upper of the two in the middle. */
export function medianOf(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** A ratio, or a dash where there is nothing to compare with. */
export function formatRatio(ratio: number | undefined): string {
  return ratio === undefined ? '-' : ratio.toFixed(1);
}
