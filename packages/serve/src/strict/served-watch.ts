import type { DeviceAddressSpace, DeviceFault } from '@virtio-platform/core/address-space';
import type { FeatureSet } from '@virtio-platform/core/features';
import type { DeviceQueue } from '@virtio-platform/core/queue';
import type { FindingPlace } from './driver-finding.ts';
import type { DriverRuleCode } from './driver-rules.ts';
import type { RingSetup } from '../device/served-queue.ts';

/** What stands in front of the parts of a served device, and is told of what its driver does. */
export interface ServedWatch {
  /** The driver is about to use the device with these features. */
  started(accepted: FeatureSet): void;
  /** The address space that the device half is given in place of `space`. */
  addressSpace(space: DeviceAddressSpace): DeviceAddressSpace;
  /** The device's end that is used in place of `queue`, which was opened over `space`. */
  queue(queue: DeviceQueue, index: number, setup: RingSetup, space: DeviceAddressSpace): DeviceQueue;
  ended(index: number): void;
  /** The device serves a queue from here on, or leaves it alone: its ring is not looked at meanwhile. */
  served(index: number, isServed: boolean): void;
  /** `count` notifications of the driver came, and were served; `isLive` tells whether DRIVER_OK is set. */
  kicked(index: number, count: number, isLive: () => boolean): void;
  /** An access of the device was refused. */
  faulted(fault: DeviceFault): void;
  /** The driver broke a rule that others than the rings show. */
  record(code: DriverRuleCode, what: string, place?: FindingPlace): void;
  dispose(): void;
}
