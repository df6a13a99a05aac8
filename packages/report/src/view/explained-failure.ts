import type { RunReport } from '@virtio-platform/runner';

/** The fields of a descriptor; `next` of a packed ring is the buffer id. */
interface ShownDescriptor {
  readonly address: string;
  readonly length: number;
  readonly flags: number;
  readonly next: number;
}

/** What the page shows of an explanation in a report. */
export interface ExplainedFailure {
  /** What happened, and where, in a sentence each. */
  readonly what: string;
  readonly where: string;
  readonly notes: readonly string[];
  readonly place: { readonly queue: number | null; readonly slot: number | null };
  /** Bytes that were expected and those that came, in hexadecimal digits; `offset` is of the first one. */
  readonly bytes: { readonly offset: number; readonly expected: string; readonly actual: string } | null;
  readonly descriptors: readonly {
    readonly isIn: 'ring' | 'table';
    readonly index: number;
    readonly written: ShownDescriptor;
    /** `null` where the memory of the ring has the same. */
    readonly found: ShownDescriptor | null;
  }[];
  readonly next: string | null;
}

/** The explanations of a report, the first failure first; none in a report of a version that has none. */
export function explainedFailures(
  report: RunReport & { readonly explanations?: readonly ExplainedFailure[] },
): readonly ExplainedFailure[] {
  return report.explanations ?? [];
}
