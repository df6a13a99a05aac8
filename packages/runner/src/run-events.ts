import type { AddressRange } from '@virtio-platform/core';
import type { NegotiationAccount } from './report/negotiation-account.ts';
import type { FaultReport, FindingReport, RunReport } from './report/report.ts';

/** The machine runs, and the platform over it. */
export interface BootedEvent {
  readonly type: 'booted';
  readonly platform: string;
  readonly machine: string;
  readonly device: string;
  /** The interface that the driver uses. */
  readonly interface: 'modern' | 'legacy';
  /** Bytes of guest memory. */
  readonly memory: number;
}

/** Driver and device have negotiated, or one of them refused. */
export interface NegotiatedEvent extends Pick<RunReport, 'features' | 'path' | 'refusal'> {
  readonly type: 'negotiated';
  /** Which rule decided what, stage by stage. */
  readonly account: NegotiationAccount;
}

/** What addresses the device had, as the platform says it once the workload has ended. */
export interface AddressesEvent {
  readonly type: 'addresses';
  /** Whether a device reaches only the memory that was shared with it. */
  readonly isRestricted: boolean;
  readonly ranges: readonly AddressRange[];
}

/** Requests complete: a few times a second, and once more when the workload has ended. */
export interface ProgressEvent {
  readonly type: 'progress';
  readonly done: number;
  readonly total: number;
}

/** The device did what the platform does not allow; of each run the first 256 that the machine and the IOMMU saw. */
export interface FaultEvent {
  readonly type: 'fault';
  /** What saw it: `machine` has the `faults` of a report, `iommu` those that it `recorded`. */
  readonly seenBy: 'machine' | 'iommu';
  readonly fault: FaultReport;
}

/** The DMA sanitizer found a mistake of the driver; of each run the first 256. */
export interface FindingEvent {
  readonly type: 'finding';
  readonly finding: FindingReport;
}

/** Everything that was started has ended. */
export type EndedEvent =
  | { readonly type: 'ended'; readonly report: RunReport; readonly error: null }
  | {
      readonly type: 'ended';
      readonly report: null;
      /** Why there is no report: the reason of an abort, or the coded error of a profile, plugin or installation. */
      readonly error: unknown;
    };

/** What a run tells of itself while it runs, in the order in which it happens. */
export type RunEvent =
  | BootedEvent
  | NegotiatedEvent
  | ProgressEvent
  | AddressesEvent
  | FaultEvent
  | FindingEvent
  | EndedEvent;

/** The events of a run by their names, with the arguments of their listeners. */
export type RunEventMap = { readonly [Type in RunEvent['type']]: [event: Extract<RunEvent, { readonly type: Type }>] };
