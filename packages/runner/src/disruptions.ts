import { DeviceError, type Platform } from '@virtio-platform/core';
import { resetQueue, resumeDevice, suspendDevice, type Transport } from '@virtio-platform/core/device';
import { featureName, VIRTIO_F_RING_RESET, VIRTIO_F_SUSPEND, type FeatureSet } from '@virtio-platform/core/features';
import type { Virtqueue } from '@virtio-platform/core/queue';
import type { Disruption, Profile } from '@virtio-platform/profile';

/**
 * Throws {@link DeviceError} `ERR_FEATURE_REQUIRED` unless all that a profile interrupts its workload with was
 * negotiated.
 */
export function checkDisruptions({ workload, device }: Profile, accepted: FeatureSet): void {
  for (const { do: what } of workload.disruptions) {
    // Of the platform, which was asked before the run was composed.
    if (what === 'exec') continue;
    const feature = what === 'suspend' ? VIRTIO_F_SUSPEND : VIRTIO_F_RING_RESET;
    if (accepted.has(feature)) continue;
    const name = featureName(feature, device.type.features);
    throw new DeviceError('ERR_FEATURE_REQUIRED', `workload.disruptions: ${what} needs ${name}`, {
      hint: `let the device offer ${name}, or leave the disruption out`,
    });
  }
}

/** What a workload gets back: the ids of the buffers that the reset of one of its queues returned. */
export type Recover = (queue: number, ids: readonly number[]) => void;

/**
 * What the profile has done to the device in the middle of a workload: its queues reset one by one, also to another
 * size, while buffers are in flight; the device suspended and resumed; or the process of the driver replaced by another
 * one, which keeps the device.
 */
export class Disruptions {
  readonly #transport: Transport;
  readonly #queues: readonly Virtqueue[];
  readonly #platform: Pick<Platform, 'exec'>;
  readonly #due: readonly Disruption[];
  #done = 0;

  constructor(
    { workload }: Profile,
    platform: Pick<Platform, 'exec'>,
    transport: Transport,
    queues: readonly Virtqueue[],
  ) {
    this.#platform = platform;
    this.#transport = transport;
    this.#queues = queues;
    this.#due = workload.disruptions.toSorted((a, b) => a.after - b.after);
  }

  /** How many there were so far. */
  get count(): number {
    return this.#done;
  }

  /** Whether one is due once `completed` requests are done. Hot. */
  isDue(completed: number): boolean {
    const next = this.#due[this.#done];
    return next !== undefined && next.after <= completed;
  }

  /** Does the next one. */
  doNext(recover: Recover): void {
    const next = this.#due[this.#done++]!;
    if (next.do === 'suspend') {
      suspendDevice(this.#transport);
      resumeDevice(this.#transport);
    } else if (next.do === 'exec') this.#platform.exec?.();
    else this.#resetQueues(next.size, recover);
  }

  #resetQueues(size: number | undefined, recover: Recover): void {
    const transport = this.#transport;
    for (const queue of this.#queues) {
      resetQueue(transport, queue.index);
      const ids = queue.reset();
      const most = transport.maxQueueSize(queue.index);
      if (size !== undefined) queue.resize(Math.min(size, most));
      recover(queue.index, ids);
      transport.enableQueue(queue.index, queue.addresses);
    }
  }
}
