import { GUEST_MEMORY, PLATFORM } from '@virtio-platform/core';
import { FaultLog, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import { container as root } from 'tsyringe';
import vfio, {
  simulateVfio,
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
  const options = vfioOptionsSchema.parse(input);
  const memory = new GuestMemory(new SharedArrayBuffer(4 * 2 ** 20));
  const hardware = simulateVfio(memory, options);
  const run = root.createChildContainer();
  for (const [token, facility] of hardware.facilities) run.registerInstance(token, facility);
  const container = run.resolve<Container>(VFIO_CONTAINER);
  run.registerInstance(VFIO_CONTAINER, kernel(container));
  run.registerInstance(GUEST_MEMORY, memory);
  vfio.register(run, options);
  const platform = run.resolve(PLATFORM);
  if (!(platform instanceof VfioPlatform)) throw new TypeError(`the plugin binds the platform ${platform.name}`);
  const faults = new FaultLog();
  const blueprint = hardware.addressSpace(true);
  const space = blueprint.open(memory, faults, structuredClone(blueprint.state));
  return { memory, container, space, faults, platform };
}
