import { FaultLog, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import plugin, {
  SimulatedIommu,
  VIRTIO_IOMMU_FACILITY,
  virtioIommuOptionsSchema,
  type VirtioIommuOptions,
} from '../src/index.ts';

/** Guest memory, a unit in software, and what a device behind it reaches. */
export interface IommuGuest {
  readonly memory: GuestMemory;
  readonly options: VirtioIommuOptions;
  readonly unit: SimulatedIommu;
  readonly space: DeviceAddressSpace;
  readonly faults: FaultLog;
}

/** Opens a guest of `megabytes` with these options of the platform. */
export function openGuest(given: object = {}, megabytes = 4): IommuGuest {
  const memory = new GuestMemory(new SharedArrayBuffer(megabytes * 2 ** 20));
  const options = virtioIommuOptionsSchema['~standard'].validate(given);
  if (options instanceof Promise || options.issues !== undefined) throw new TypeError(JSON.stringify(options));
  const hardware = plugin.simulate!(memory, options.value);
  const unit = hardware.facilities.get(VIRTIO_IOMMU_FACILITY);
  if (!(unit instanceof SimulatedIommu)) throw new TypeError('there is no unit');
  const faults = new FaultLog();
  const blueprint = hardware.addressSpace(true);
  return { memory, options: options.value, unit, space: blueprint.open(memory, faults, blueprint.state), faults };
}
