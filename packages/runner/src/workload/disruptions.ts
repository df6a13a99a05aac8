import { DeviceError } from '@virtio-platform/core';
import { resetQueue, resumeDevice, suspendDevice } from '@virtio-platform/core/device';
import { featureName, VIRTIO_F_RING_RESET, VIRTIO_F_SUSPEND, type FeatureSet } from '@virtio-platform/core/features';
import type { Disruption, Profile } from '@virtio-platform/profile';
import type { DriverContext } from '../driver-half.ts';

/**
 * Throws {@link DeviceError} `ERR_FEATURE_REQUIRED` unless all that a profile interrupts its workload with was
 * negotiated.
 */
export function checkDisruptions({ workload, device }: Profile, accepted: FeatureSet): void {
  for (const { do: what } of workload.disruptions) {
    const feature = what === 'suspend' ? VIRTIO_F_SUSPEND : VIRTIO_F_RING_RESET;
    if (accepted.has(feature)) continue;
    const name = featureName(feature, device.type);
    throw new DeviceError('ERR_FEATURE_REQUIRED', `workload.disruptions: ${what} needs ${name}`, {
      hint: `let the device offer ${name}, or leave the disruption out`,
    });
  }
}

/** What a workload gets back: the ids of the buffers that the reset of one of its queues returned. */
export type Recover = (queue: number, ids: readonly number[]) => void;

/**
 * What the profile has done to the device in the middle of a workload: its queues reset one by one, also to another
 * size, while buffers are in flight; or the device suspended and resumed.
 */
export class Disruptions {
  readonly #context: DriverContext;
  readonly #due: readonly Disruption[];
  readonly #recover: Recover;
  #done = 0;

  constructor(context: DriverContext, recover: Recover) {
    this.#context = context;
    this.#recover = recover;
    this.#due = context.profile.workload.disruptions.toSorted((a, b) => a.after - b.after);
  }

  /** How many there were so far. */
  get count(): number {
    return this.#done;
  }

  /**
   * Does what is due once `completed` requests are done. To be called where buffers are published and not notified of
   * yet.
   */
  check(completed: number): void {
    for (
      let next = this.#due[this.#done];
      next !== undefined && next.after <= completed;
      next = this.#due[this.#done]
    ) {
      this.#done++;
      this.#context.notifications.suppress();
      if (next.do === 'suspend') this.#suspend();
      else this.#resetQueues(next.size);
    }
  }

  #suspend(): void {
    const { transport } = this.#context;
    suspendDevice(transport);
    resumeDevice(transport);
  }

  #resetQueues(size: number | undefined): void {
    const { transport, queues } = this.#context;
    for (const { queue } of queues) {
      resetQueue(transport, queue.index);
      const ids = queue.reset();
      const most = transport.maxQueueSize(queue.index);
      if (size !== undefined) queue.resize(Math.min(size, most));
      this.#recover(queue.index, ids);
      transport.enableQueue(queue.index, queue.addresses);
    }
  }
}
