import {
  MOST_SHOWN_BYTES,
  type DataDifference,
  type Mismatch,
  type MismatchKind,
  type MismatchReport,
  type ShownBytes,
  type WorkLoop,
} from '@virtio-platform/core';

/** Collects the mismatches of one workload. */
export class MismatchLog {
  readonly #counts = new Map<MismatchKind, number>();
  readonly #first: Mismatch[] = [];
  readonly #loop: Pick<WorkLoop, 'mismatched'> | undefined;

  /** `loop` is told of the first mismatch of each kind. */
  constructor(loop?: Pick<WorkLoop, 'mismatched'>) {
    this.#loop = loop;
  }

  /** All mismatches together. */
  get count(): number {
    let sum = 0;
    for (const count of this.#counts.values()) sum += count;
    return sum;
  }

  get report(): MismatchReport {
    return { counts: Object.fromEntries(this.#counts), first: this.#first };
  }

  /** Counts a mismatch of this kind. `describe` is called for the first of each kind only. */
  note(kind: MismatchKind, describe: () => Omit<Mismatch, 'kind'>): void {
    const count = this.#counts.get(kind) ?? 0;
    this.#counts.set(kind, count + 1);
    if (count > 0) return;
    const mismatch = { kind, ...describe() };
    this.#first.push(mismatch);
    this.#loop?.mismatched?.(mismatch);
  }
}

/** Bytes that are shown before the first one that differs: a line of a dump and what is in its own line. */
const SHOWN_BEFORE = 16;

/**
 * The first byte of `actual` that is not that of `expected`, with those around it; `undefined` where all are the same.
 * Both are as long, and begin at byte `first` of the data.
 */
export function findDifference(expected: Uint8Array, actual: Uint8Array, first = 0): DataDifference | undefined {
  const at = actual.findIndex((byte, i) => byte !== expected[i]);
  if (at < 0) return undefined;
  return {
    offset: first + at,
    expected: expected[at]!,
    actual: actual[at]!,
    bytes: shownBytes(expected, actual, at, first),
  };
}

/** The bytes around the one at `offset`, of data whose first byte is number `first`. */
function shownBytes(expected: Uint8Array, actual: Uint8Array, offset: number, first: number): ShownBytes {
  const start = Math.max(0, Math.floor(offset / 16) * 16 - SHOWN_BEFORE);
  const show = (bytes: Uint8Array): string => Buffer.from(bytes.slice(start, start + MOST_SHOWN_BYTES)).toString('hex');
  return { offset: first + start, expected: show(expected), actual: show(actual) };
}

/** Hexadecimal, as in messages. */
export function hexadecimal(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}
