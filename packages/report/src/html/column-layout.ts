/** A range of addresses that is drawn. */
export interface AddressSpan {
  readonly start: bigint;
  /** Bytes. */
  readonly length: bigint;
}

/** A run of addresses without a hole, and where it is drawn. */
export interface DrawnRun {
  readonly start: bigint;
  readonly end: bigint;
  readonly y: number;
  readonly height: number;
}

const LEAST_HEIGHT = 7;
const MOST_HEIGHT = 56;
const LEAST_GAP = 9;
const MOST_GAP = 30;
/** Above this the column is compressed. */
const MOST_TOTAL = 420;
/** Spans that are less than this apart are one run: a page. */
const BESIDE = 4096n;

/**
 * Lays addresses out from top to bottom. An address space is nearly empty, so that heights grow with the logarithm of
 * lengths and holes; inside a run an address is where it belongs.
 */
export class ColumnLayout {
  readonly runs: readonly DrawnRun[];
  readonly height: number;

  constructor(spans: readonly AddressSpan[]) {
    const merged = mergeSpans(spans);
    const heights = merged.map(({ start, end }) => logarithmic(end - start, 12, LEAST_HEIGHT, MOST_HEIGHT, 4));
    const gaps = merged.map(({ start }, i) =>
      i === 0 ? 0 : logarithmic(start - merged[i - 1]!.end, 12, LEAST_GAP, MOST_GAP, 1),
    );
    const total = [...heights, ...gaps].reduce((sum, each) => sum + each, 0);
    const scale = Math.min(1, MOST_TOTAL / Math.max(1, total));
    let y = 0;
    this.runs = merged.map(({ start, end }, i) => {
      y += gaps[i]! * scale;
      const run = { start, end, y, height: heights[i]! * scale };
      y += run.height;
      return run;
    });
    this.height = y;
  }

  /** Where an address is drawn: also one in a hole, and at the nearest end one outside of all runs. */
  yOf(address: bigint): number {
    let before: DrawnRun | undefined;
    for (const run of this.runs) {
      if (address < run.start) {
        if (before === undefined) return run.y;
        const from = before.y + before.height;
        return from + (run.y - from) * part(address - before.end, run.start - before.end);
      }
      if (address <= run.end) return run.y + run.height * part(address - run.start, run.end - run.start);
      before = run;
    }
    return this.height;
  }
}

function part(of: bigint, whole: bigint): number {
  return whole === 0n ? 0 : Number(of) / Number(whole);
}

function logarithmic(bytes: bigint, from: number, least: number, most: number, each: number): number {
  const doublings = Math.log2(Math.max(1, Number(bytes))) - from;
  return Math.min(most, least + Math.max(0, doublings) * each);
}

/** Joins spans that overlap, or lie in one page or in neighbours. */
function mergeSpans(spans: readonly AddressSpan[]): { readonly start: bigint; readonly end: bigint }[] {
  const merged: { start: bigint; end: bigint }[] = [];
  const sorted = spans
    .map(({ start, length }) => ({ start, end: start + (length > 0n ? length : 1n) }))
    .toSorted((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
  for (const span of sorted) {
    const last = merged.at(-1);
    if (last !== undefined && span.start <= last.end + BESIDE) last.end = span.end > last.end ? span.end : last.end;
    else merged.push({ ...span });
  }
  return merged;
}
