import type { FindingCode } from './finding-code.ts';

/** A mistake of a driver, as data. */
export interface DmaFinding {
  readonly code: FindingCode;
  /** The check of the reference: `DD-01` to `DD-23` of Linux dma-debug, `DS-a` to `DS-q` beyond it. */
  readonly check: string;
  /** One sentence: what is wrong. */
  readonly what: string;
  readonly device: string;
  readonly queue: number | undefined;
  /** Id of the buffer in the queue: the index of its first descriptor on a split ring, the buffer id on a packed one. */
  readonly descriptor: number | undefined;
  /** The memory concerned: guest-physical address, bytes, and for whom it is mapped. */
  readonly buffer:
    | {
        readonly address: number;
        readonly length: number;
        readonly direction: 'to-device' | 'from-device' | 'bidirectional' | undefined;
      }
    | undefined;
  readonly deviceAddress: bigint | undefined;
  /**
   * Where it was mapped, added to its queue, last synced, unmapped, and misused: the innermost frame outside of the core first; empty
   * where it was not.
   */
  readonly mappedAt: readonly string[];
  readonly addedAt: readonly string[];
  readonly syncedAt: readonly string[];
  readonly unmappedAt: readonly string[];
  readonly misusedAt: readonly string[];
  /** What to do. */
  readonly hint: string;
}

/** The findings of a run, in order. Keeps the first {@link FindingLog.LIMIT} and counts all. */
export class FindingLog {
  static readonly LIMIT = 256;
  readonly entries: DmaFinding[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  record(finding: DmaFinding): void {
    this.#count++;
    if (this.entries.length < FindingLog.LIMIT) this.entries.push(finding);
  }
}
