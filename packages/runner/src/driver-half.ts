import type { Transport } from '@virtio-platform/core/device';
import type { FeatureSet } from '@virtio-platform/core/features';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { ByteOrder, UsedLengthPolicy, Virtqueue } from '@virtio-platform/core/queue';
import type { DriverQueue } from '@virtio-platform/devices';
import type { Profile } from '@virtio-platform/profile';
import type { WorkloadReport } from './report.ts';
import type { UsedNotifications } from './used-notifications.ts';

/** What a driver half is made from: a negotiated device whose queues are set up and not yet started. */
export interface DriverContext {
  readonly profile: Profile;
  readonly memory: GuestMemory;
  /** Guest memory without the sanitizer in between, to describe what came back wrong: no access of the driver. */
  readonly inspected: GuestMemory;
  readonly transport: Transport;
  readonly accepted: FeatureSet;
  /** Of configuration and headers: the guest's own on the legacy interface. */
  readonly byteOrder: ByteOrder;
  /** Those of {@link DriverType.queues}, in that order. */
  readonly queues: readonly DriverQueue[];
  /** Sends an available buffer notification. Hot. */
  readonly notify: (queue: Virtqueue) => void;
  /** Of all queues together. */
  readonly notifications: UsedNotifications;
  /** Called a few times a second while requests complete. */
  readonly onProgress: (done: number, total: number) => void;
}

/** A driver with its buffers and its workload, at work on one device. */
export interface DriverHalf {
  /** What was done so far; `verified` only once everything was. */
  readonly report: WorkloadReport;
  /** Runs the workload on a started device. Throws {@link DeviceError} when the device stalls, lies or is gone. */
  run(): Promise<void>;
  /** Gives back all buffers. Only after the device confirmed a reset and the queues were reset. */
  dispose(): void;
}

/** How a session drives one device type. */
export interface DriverType {
  /** Features of the device type that the driver understands. */
  readonly features: FeatureSet;
  /** What used lengths are worth on the legacy interface (specification 1.4 section 2.7.8.1). */
  readonly legacyUsedLength: UsedLengthPolicy;
  /**
   * The indices of the queues it uses, found from features and configuration, of which nothing is believed unchecked.
   */
  queues(transport: Transport, accepted: FeatureSet, byteOrder: ByteOrder): readonly number[];
  /** Allocates buffers. Throws coded errors, and then nothing stays allocated. */
  open(context: DriverContext): DriverHalf;
}
