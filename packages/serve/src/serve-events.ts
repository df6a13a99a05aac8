import type { Misbehavior } from '@virtio-platform/core/failure';
import type { FeatureSet } from '@virtio-platform/core/features';
import type { CountedFinding, DriverFinding } from './strict/driver-finding.ts';
import type { QueueLayout } from '@virtio-platform/core/queue';

/** What was done for one front-end. */
export interface SessionStatistics {
  /** Buffers that were taken from all queues. */
  readonly buffers: number;
  /** Notifications of the driver; several may come as one. */
  readonly kicks: number;
  /** Notifications for the driver. */
  readonly calls: number;
  /** Translations that the front-end was asked for. */
  readonly misses: number;
  /** Accesses that were refused. */
  readonly faults: number;
}

/** What happens while a device is served. Nothing of a front-end's words is in it unchecked but in `text`. */
export type ServeEvent =
  | { readonly kind: 'listening'; readonly path: string; readonly offers: FeatureSet }
  | { readonly kind: 'connected' }
  /** The front-end accepted features; before its first queue is served. */
  | { readonly kind: 'negotiated'; readonly accepted: FeatureSet; readonly translates: boolean }
  | {
      readonly kind: 'queue-started';
      readonly queue: number;
      readonly layout: QueueLayout;
      readonly size: number;
      readonly position: number;
    }
  /** Buffers that another process had in work when it ended are taken again. */
  | { readonly kind: 'recovered'; readonly queue: number; readonly buffers: number }
  /** `kept`: buffers that the device has and did not return. */
  | { readonly kind: 'queue-stopped'; readonly queue: number; readonly buffers: number; readonly kept: number }
  | { readonly kind: 'reset' }
  /**
   * The device misbehaved on purpose, for the `count`th time in this way since it is served: the first 8 times, and
   * where `count` is a power of two. `buffer` is `undefined` for a notification that was not sent.
   */
  | {
      readonly kind: 'misbehaved';
      readonly way: keyof Misbehavior;
      readonly queue: number;
      readonly buffer: number | undefined;
      readonly count: number;
    }
  /** With `strict`: the driver broke a rule; once for each rule and queue. */
  | { readonly kind: 'finding'; readonly finding: DriverFinding }
  /** With `strict`, at the end: all findings, with how often each came. */
  | { readonly kind: 'findings'; readonly findings: readonly CountedFinding[]; readonly errors: number }
  /** Something is wrong: who did it, and what. */
  | { readonly kind: 'problem'; readonly by: 'front-end' | 'driver' | 'device'; readonly text: string }
  | { readonly kind: 'disconnected'; readonly statistics: SessionStatistics };
