import { GUEST_MEMORY, PLATFORM, type PlatformPlugin } from '@virtio-platform/core';
import { FaultLog, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { DmaMapping } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import amdIommu from '@virtio-platform/platform-amd-iommu';
import intelIommu from '@virtio-platform/platform-intel-iommu';
import legacy from '@virtio-platform/platform-legacy';
import pseries from '@virtio-platform/platform-pseries';
import sev from '@virtio-platform/platform-sev';
import smmuv3 from '@virtio-platform/platform-smmuv3';
import vfio from '@virtio-platform/platform-vfio';
import virtioIommu from '@virtio-platform/platform-virtio-iommu';
import { container } from 'tsyringe';

/** Both sides of a platform: the mapping of a queue, and what a device behind it reaches. */
export interface OpenPlatform {
  readonly mapping: DmaMapping;
  readonly space: DeviceAddressSpace;
}

type Open = (memory: GuestMemory, capacity: number) => OpenPlatform;

/** The mappings that are measured, each in a process of its own so that its call sites see one class. */
export const MEASURED_PLATFORMS: ReadonlyMap<string, Open> = new Map([
  ['legacy', opening(legacy, {})],
  ['pseries-linear', opening(pseries, { window: { kind: 'ddw', mapping: 'linear' } })],
  ['pseries-identity', opening(pseries, { window: { kind: 'default', mapping: 'identity' } })],
  ['pseries-dynamic', opening(pseries, { window: { kind: 'default', mapping: 'dynamic' } })],
  ['intel-iommu', opening(intelIommu, {})],
  [
    'intel-iommu-queued',
    opening(intelIommu, { invalidation: 'queued', mode: 'scalable', unit: { scalableMode: true } }),
  ],
  ['amd-iommu', opening(amdIommu, {})],
  ['sev', opening(sev, {})],
  ['smmuv3', opening(smmuv3, {})],
  ['vfio', opening(vfio, {})],
  ['virtio-iommu', opening(virtioIommu, {})],
]);

/** Opens a plugin over its own simulated hardware, for a device that offers ACCESS_PLATFORM. */
function opening<Options>(plugin: PlatformPlugin<Options>, input: unknown): Open {
  return (memory, capacity) => {
    const checked = plugin.options['~standard'].validate(input);
    if (checked instanceof Promise || checked.issues !== undefined) throw new TypeError(`${plugin.name}: bad options`);
    if (plugin.simulate === undefined) throw new TypeError(`${plugin.name} has no hardware in software`);
    const hardware = plugin.simulate(memory, checked.value);
    const bindings = container.createChildContainer();
    bindings.registerInstance(GUEST_MEMORY, memory);
    for (const [token, facility] of hardware.facilities) bindings.registerInstance(token, facility);
    plugin.register(bindings, checked.value);
    const platform = bindings.resolve(PLATFORM);
    const blueprint = hardware.addressSpace(true);
    return {
      mapping: platform.openMapping(platform.traits.mappedPath, { queue: 0, capacity }),
      space: blueprint.open(memory, new FaultLog(), blueprint.state),
    };
  };
}
