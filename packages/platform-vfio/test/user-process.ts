import type { DeviceAddressSpace, FaultLog } from '@virtio-platform/core/address-space';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { openPlatform } from '@virtio-platform/conformance/testing';
import vfio, {
  VFIO_CONTAINER,
  vfioOptionsSchema,
  VfioPlatform,
  type Type1Container,
  type VfioContainer,
  type VfioOptionsInput,
} from '@virtio-platform/platform-vfio';

/** A process with a container, and its memory as its device reaches it. */
export interface UserProcess<Container extends VfioContainer = Type1Container> {
  readonly memory: GuestMemory;
  readonly container: Container;
  readonly space: DeviceAddressSpace;
  readonly faults: FaultLog;
  readonly platform: VfioPlatform;
}

/**
 * Starts a process as a machine does. `kernel` may stand between the process and its container, which is of the type in
 * `input`.
 */
export function startProcess<Container extends VfioContainer = Type1Container>(
  input: VfioOptionsInput = {},
  kernel: (container: Container) => Container = (container) => container,
): UserProcess<Container> {
  const { platform, memory, facility, space, faults } = openPlatform(vfio, vfioOptionsSchema.parse(input), {
    facilities: (simulated) => new Map([[VFIO_CONTAINER, kernel(simulated<Container>(VFIO_CONTAINER))]]),
  });
  if (!(platform instanceof VfioPlatform)) throw new TypeError(`the plugin binds the platform ${platform.name}`);
  return { memory, container: facility<Container>(VFIO_CONTAINER), space, faults, platform };
}
