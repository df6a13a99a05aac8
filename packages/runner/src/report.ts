import type { RequiredChange } from '@virtio-platform/core';

/** What one run showed; the object that `run --json` prints. Stable: fields are added, never changed. */
export interface RunReport {
  readonly profile: string;
  readonly platform: string;
  readonly machine: string;
  readonly device: string;
  readonly features: {
    readonly offered: readonly string[];
    readonly accepted: readonly string[];
    readonly declined: readonly { readonly feature: string; readonly rule: string; readonly reason: string }[];
  };
  /** `null` after a refusal, or when the run failed before. */
  readonly path: string | null;
  /** The ring of the first queue; `null` where there was none. */
  readonly queue: { readonly layout: 'split' | 'packed'; readonly size: number } | null;
  readonly outcome: 'completed' | 'refused' | 'failed';
  readonly refusal: {
    readonly code: string;
    readonly rule: string;
    readonly reason: string;
    /** What would have to be otherwise, by who could change it. */
    readonly change: RequiredChange;
  } | null;
  /** Why the run failed; `null` otherwise. */
  readonly failure: { readonly code: string; readonly message: string; readonly hint: string | null } | null;
  readonly workload: WorkloadReport;
  /** After the device was reset: `live` counts what was not given back. */
  readonly dma: {
    readonly maps: number;
    readonly unmaps: number;
    readonly bytesBounced: number;
    readonly live: number;
    /** Slots of the pool that buffers are copied through, the most that were used at once, and how often there were none; `null` without. */
    readonly pool: { readonly slots: number; readonly highWater: number; readonly exhausted: number } | null;
  };
  /** How often something failed because the profile's `failures` ask for it. */
  readonly injected: number;
  /** What the device did that the platform does not allow, in order; the first 256. Addresses are hexadecimal. */
  readonly faults: readonly {
    readonly address: string;
    readonly length: number;
    readonly access: string;
    readonly cause: string;
  }[];
  /** Findings of the DMA sanitizer. Empty: it is not part of this version. */
  readonly findings: readonly never[];
  /** Where the run differs from the profile's `expect`, one sentence each. */
  readonly differences: readonly string[];
  readonly durationMs: number;
}

export interface WorkloadReport {
  readonly requests: number;
  /** Data moved, in both directions. */
  readonly bytes: number;
  readonly errors: number;
  /** Everything written was read back and was the same. */
  readonly verified: boolean;
  /** How often the profile had the device suspended or its queues reset. */
  readonly interruptions: number;
  /** Requests that a queue reset took back, and that were made again. */
  readonly repeated: number;
}

/** Whether the run is as it should be: what was expected happened, and where nothing was expected, it completed without a fault. */
export function isAsExpected(report: RunReport): boolean {
  return report.differences.length === 0;
}
