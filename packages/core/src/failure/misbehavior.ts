import type { FailureSchedule } from './failure-plan.ts';

/**
 * How a device misbehaves on purpose: which buffers it treats so, counted over all its queues from the moment at which
 * the device is made. Plain data. The same schedule misbehaves with the same buffers.
 */
export interface Misbehavior {
  /** Buffers that come back `by` milliseconds later than they could; 10 unless given. */
  readonly late?: (FailureSchedule & { readonly by?: number | undefined }) | undefined;
  /** Buffers that come back behind the next one of their queue. Not with IN_ORDER. */
  readonly reordered?: FailureSchedule | undefined;
  /** Buffers of which the device says that it wrote half of what it wrote. */
  readonly short?: FailureSchedule | undefined;
  /** Buffers of which the device says that it wrote more than there is room. */
  readonly lies?: FailureSchedule | undefined;
  /** Requests that fail: the device answers with the error of its type and does nothing else. */
  readonly errors?: FailureSchedule | undefined;
  /** Notifications that the driver wants and the device does not send. */
  readonly silent?: FailureSchedule | undefined;
  /** Buffers with which the device asks for a reset, and does nothing more. */
  readonly needsReset?: FailureSchedule | undefined;
  /** Buffers with which the device tells of a changed configuration. */
  readonly configChanges?: FailureSchedule | undefined;
  /** Buffers with which the device is gone for good. */
  readonly dies?: FailureSchedule | undefined;
}

/** What a device half throws that needs a reset, or dies, on purpose: no mistake of its own. */
export class MisbehaviorSignal extends Error {
  override readonly name = 'MisbehaviorSignal';
  readonly kind: 'needs-reset' | 'death';

  constructor(kind: 'needs-reset' | 'death') {
    const what = kind === 'death' ? 'is gone for good' : 'needs a reset';
    const key = kind === 'death' ? 'dies' : 'needsReset';
    super(`the device ${what}, on purpose (device.misbehaves.${key})`);
    this.kind = kind;
  }
}
