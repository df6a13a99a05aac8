import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { DeviceQueue } from '@virtio-platform/core/queue';

/** What stands in front of the parts of a served device while it is recorded; a `DeviceRecording` of the trace, too. */
export interface ServedRecording {
  addressSpace(space: DeviceAddressSpace): DeviceAddressSpace;
  queue(queue: DeviceQueue, index: number): DeviceQueue;
  /** The driver notified `count` times of a queue, which is not served yet. */
  kicked(queue: number, count: number): void;
}
