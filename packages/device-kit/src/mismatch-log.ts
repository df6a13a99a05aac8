import type { Mismatch, MismatchKind, MismatchReport } from '@virtio-platform/core';

/** Collects the mismatches of one workload. */
export class MismatchLog {
  readonly #counts = new Map<MismatchKind, number>();
  readonly #first: Mismatch[] = [];
  #listener: ((mismatch: Mismatch) => void) | undefined;

  /** All mismatches together. */
  get count(): number {
    let sum = 0;
    for (const count of this.#counts.values()) sum += count;
    return sum;
  }

  get report(): MismatchReport {
    return { counts: Object.fromEntries(this.#counts), first: this.#first };
  }

  /** Has `listener` told of the first mismatch of each kind, when it is found. */
  watch(listener: ((mismatch: Mismatch) => void) | undefined): void {
    this.#listener = listener;
  }

  /** Counts a mismatch of this kind. `describe` is called for the first of each kind only. */
  note(kind: MismatchKind, describe: () => Omit<Mismatch, 'kind'>): void {
    const count = this.#counts.get(kind) ?? 0;
    this.#counts.set(kind, count + 1);
    if (count > 0) return;
    const mismatch = { kind, ...describe() };
    this.#first.push(mismatch);
    this.#listener?.(mismatch);
  }
}

/** Hexadecimal, as in messages. */
export function hexadecimal(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}
