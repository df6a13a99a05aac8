import type { MismatchReport, NotificationCounts, PlatformStatistics } from '@virtio-platform/core';
import type { RequiredChange } from '@virtio-platform/core/negotiation';
import type { DmaFinding } from '@virtio-platform/dma-sanitizer';
import type { LatencySummary } from '@virtio-platform/trace';
import type { FailureExplanation } from '../failure/failure-explanation.ts';
import type { RingReport } from './ring-report.ts';
import type { UsedNotificationCounts } from '../used-notifications.ts';
/** The version of what `run --json` prints: it grows when a field changes its meaning, and not for a new one. */
export const REPORT_SCHEMA_VERSION = 1;

/** What one run showed; the object that `run --json` prints. Stable: fields are added, never changed. */
export interface RunReport {
  /** {@link REPORT_SCHEMA_VERSION} of the tool that made it. */
  readonly schemaVersion: number;
  /** Of the packages of virtio-platform, which all have one version. */
  readonly toolVersion: string;
  /** When the run began: ISO 8601, UTC, in milliseconds. */
  readonly startedAt: string;
  /** Absolute path of the profile; of one that came as text or as an object a name in its base directory. */
  readonly file: string;
  /** The seed of the workload. */
  readonly seed: number;
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
    /** What of the profile decided it, beside the offer; `null` where nothing of it did. */
    readonly option: string | null;
  } | null;
  /** Why the run failed; `null` otherwise. */
  readonly failure: FailureReport | null;
  /** What went wrong, explained, in the order in which it happened; at most 4. Empty where nothing did. */
  readonly explanations: readonly FailureExplanation[];
  readonly workload: WorkloadReport;
  /** Configuration changes that the device told of, and what the driver half found changed; the first 16. */
  readonly configuration: { readonly changes: number; readonly seen: readonly string[] };
  /** The notifications of the run; `null` where it failed before its queues were set up. */
  readonly notifications: NotificationReport | null;
  /**
   * How long buffers were away, in microseconds to 0.3 %: from the batch in which the driver added one until it took it
   * back. A buffer that waits for the device, such as one for a packet, counts as well. `null` where none came back.
   */
  readonly latency: Pick<LatencySummary, 'count' | 'p50' | 'p90' | 'p99' | 'p999' | 'max'> | null;
  /** After the device was reset: `live` counts what was not given back. */
  readonly dma: {
    readonly maps: number;
    readonly unmaps: number;
    readonly bytesBounced: number;
    readonly live: number;
    /** Mappings and regions that were given back, and that the platform could not take back from the device. */
    readonly leaked: number;
    /**
     * Slots of the pool that buffers are copied through, the most that were used at once, and how often there were
     * none; `null` without.
     */
    readonly pool: { readonly slots: number; readonly highWater: number; readonly exhausted: number } | null;
  };
  /** What the platform could not take back from the device: how much, and the first 256. */
  readonly leaked: { readonly count: number; readonly first: readonly LeakReport[] };
  /** What platform and machine count of themselves, by what they count: `{ grants: { used: 12, free: 500 } }`. */
  readonly statistics: PlatformStatistics;
  /** How often something failed because the profile's `failures` ask for it. */
  readonly injected: number;
  /** What the device did that the platform does not allow, in order; the first 256. Addresses are hexadecimal. */
  readonly faults: readonly FaultReport[];
  /** What the IOMMU itself recorded of the device, in its own registers; the first 256. Empty where it has none. */
  readonly recorded: readonly FaultReport[];
  /** Findings of the DMA sanitizer, in order; the first 256. Empty where it is off. */
  readonly findings: readonly FindingReport[];
  /** What the DMA sanitizer saw; `null` where it is off. */
  readonly sanitizer: {
    /** Findings in all. */
    readonly findings: number;
    /** Whether it saw all of the driver's accesses to memory, and the device's: those in the driver's own thread. */
    readonly seesDriver: boolean;
    readonly seesDevice: boolean;
  } | null;
  /** Where the log of the machine's own program begins, if it was too long to be kept; `null` where all of it is. */
  readonly logCut: LogCut | null;
  /** Where the run differs from the profile's `expect`, one sentence each. */
  readonly differences: readonly string[];
  readonly durationMs: number;
}

/** Why a run failed: its first error. */
export interface FailureReport {
  readonly code: string;
  readonly message: string;
  /** What to do next. */
  readonly hint: string | null;
  /**
   * The plugin that the error came out of: its name in the profile, the member of its contract, `null` where that is
   * not known, and the place that names it: file, line and column, or of a profile that is an object the `key`. `null`
   * where the error came out of no plugin.
   */
  readonly plugin: {
    readonly kind: string;
    readonly name: string;
    readonly hook: string | null;
    readonly file: string;
    readonly line: number;
    readonly column: number;
    readonly key?: string;
  } | null;
  /**
   * What was thrown first, where the error is about that: its class, `null` for a value that is no error, and the
   * frames of its stack, the innermost first.
   */
  readonly cause: { readonly name: string | null; readonly message: string; readonly stack: readonly string[] } | null;
  /** Every queue as both ends left it when the run failed; empty where it failed before there were any. */
  readonly rings: readonly RingReport[];
  /**
   * The program that is the device, where the machine started one: how it ended, `null` while it runs, and the end of
   * its error output. `null` without such a program.
   */
  readonly program: { readonly ending: string | null; readonly stderrTail: string } | null;
  /** What failed after it, often as its consequence: the first error of each code, at most 8. */
  readonly later: readonly { readonly code: string; readonly message: string; readonly hint: string | null }[];
}

/** An access of the device that was not allowed. `address` is hexadecimal, `length` in bytes from there. */
export interface FaultReport {
  readonly address: string;
  readonly length: number;
  readonly access: string;
  readonly cause: string;
  /** What failed, where the cause is `device-error`: an error inside the device half. */
  readonly detail?: string;
}

/** The beginning of a log that is missing. What the program told of there is in no trace, and in no explanation. */
export interface LogCut {
  /** Whose log it is: `QEMU`. */
  readonly program: string;
  /** Microseconds since the run began at which what was kept begins. */
  readonly before: number;
  /** How much is missing. */
  readonly bytes: number;
}

/** Memory that the device may still reach: `length` bytes from `address`, which is guest-physical and hexadecimal. */
export interface LeakReport {
  readonly what: string;
  readonly address: string;
  readonly length: number;
}

/**
 * A finding of the DMA sanitizer. What its code means is in `packages/core/docs/findings.md`. Addresses are
 * hexadecimal.
 */
export interface FindingReport extends Pick<
  DmaFinding,
  'code' | 'check' | 'what' | 'device' | 'mappedAt' | 'addedAt' | 'syncedAt' | 'unmappedAt' | 'misusedAt' | 'hint'
> {
  readonly queue: number | null;
  /** Id of the buffer in its queue. */
  readonly descriptor: number | null;
  /**
   * What the driver asked for with the buffer, in the words of its device type: `write of sector 312`. Where it is not
   * known which buffer the finding is of: what the device worked on then. `null` where neither is known.
   */
  readonly operation: string | null;
  /** The number of the request in the order in which the driver added them, from 1; `null` where it is of none. */
  readonly request: number | null;
  readonly buffer: { readonly address: string; readonly length: number; readonly direction: string | null } | null;
  readonly deviceAddress: string | null;
}

/** The notifications of a run, in both directions. */
export interface NotificationReport {
  /** Available buffer notifications: those the device wanted, those the driver sent, those the device suppressed. */
  readonly available: { readonly wanted: number; readonly sent: number; readonly suppressed: number };
  /** Used buffer notifications. */
  readonly used: UsedNotificationCounts;
  /** Available buffer notifications as the device half counts them; `null` where the machine has no device half. */
  readonly device: NotificationCounts | null;
}

/** What a workload did. */
export interface WorkloadReport {
  readonly requests: number;
  /** Data moved, in both directions. */
  readonly bytes: number;
  readonly errors: number;
  /** The requests of `errors`: how many of each kind, and the first of each kind in full. */
  readonly mismatches: MismatchReport;
  /** Everything written was read back and was the same. */
  readonly verified: boolean;
  /** How often the profile had the device suspended or its queues reset. */
  readonly interruptions: number;
  /** Requests that a queue reset took back, and that were made again. */
  readonly repeated: number;
}

/**
 * Whether the run is as it should be: what was expected happened, and where nothing was expected, it completed without
 * a fault.
 */
export function isAsExpected(report: RunReport): boolean {
  return report.differences.length === 0;
}
