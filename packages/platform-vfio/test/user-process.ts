import { FaultLog, GUEST_MEMORY, GuestMemory, PLATFORM, type DeviceAddressSpace } from '@virtio-platform/core';
import { container as root } from 'tsyringe';
import vfio, {
  simulateVfio,
  VFIO_CONTAINER,
  vfioOptionsSchema,
  VfioPlatform,
  type VfioContainer,
  type VfioOptionsInput,
} from '@virtio-platform/platform-vfio';

/** A process with a container, and its memory as its device reaches it. */
export interface UserProcess {
  readonly memory: GuestMemory;
  readonly container: VfioContainer;
  readonly space: DeviceAddressSpace;
  readonly faults: FaultLog;
  readonly platform: VfioPlatform;
}

/** Starts a process as a machine does. `kernel` may stand between the process and its container. */
export function startProcess(
  input: VfioOptionsInput = {},
  kernel: (container: VfioContainer) => VfioContainer = (container) => container,
): UserProcess {
  const options = vfioOptionsSchema.parse(input);
  const memory = new GuestMemory(new SharedArrayBuffer(4 * 2 ** 20));
  const hardware = simulateVfio(memory, options);
  const run = root.createChildContainer();
  for (const [token, facility] of hardware.facilities) run.registerInstance(token, facility);
  const container = run.resolve<VfioContainer>(VFIO_CONTAINER);
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
