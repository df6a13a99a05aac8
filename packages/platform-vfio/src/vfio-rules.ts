import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import { REFERENCES, type NegotiationRule } from '@virtio-platform/core/negotiation';
import { errnoName } from './container/errno.ts';
import type { NoiommuContainer } from './container/vfio-container.ts';

/**
 * The negotiation rules of a VFIO container that translates. They apply whatever `driver.privilege` the profile has,
 * while the core refuses the same devices only to a driver with privilege `process`. The core also keeps
 * identity-address from such a driver: a process cannot promise it, because it does not control all mappings of its
 * address space.
 */
export const VFIO_RULES: readonly NegotiationRule[] = [
  {
    name: 'vfio-needs-access-platform',
    source: 'mail: Tsirkin, 2019-07-01 (VFIO was never taught to refuse devices that bypass the IOMMU)',
    references: [REFERENCES['tsirkin-2019-07-01']],
    stage: 'assignment',
    apply(negotiation) {
      if (negotiation.input.offered.has(VIRTIO_F_ACCESS_PLATFORM))
        return negotiation.note('the container confines the device');
      negotiation.refuse(
        'EPERM',
        'the device does not offer ACCESS_PLATFORM: the container cannot confine it, and it would read I/O virtual addresses as physical ones',
        { device: 'offer ACCESS_PLATFORM' },
      );
    },
  },
  {
    name: 'vfio-never-untranslated',
    source: 'mail: Bauermann, 2019-06-27 (VFIO has to be forbidden on devices that advertise no-translation)',
    references: [REFERENCES['bauermann-2019-06-27']],
    stage: 'assignment',
    apply(negotiation) {
      if (!negotiation.input.offered.has(negotiation.policy.bits.noTranslation))
        return negotiation.note('the device cannot be told to skip translation');
      negotiation.refuse(
        'EPERM',
        'the device offers ACCESS_PLATFORM_NO_TRANSLATION, which the process could turn on by itself in the device registers',
        { device: 'do not offer ACCESS_PLATFORM_NO_TRANSLATION' },
      );
    },
  },
  {
    name: 'vfio-driver-is-a-process',
    source: 'Linux Documentation/driver-api/vfio.rst: VFIO hands devices to userspace',
    stage: 'assignment',
    apply(negotiation) {
      const { privilege } = negotiation.input;
      if (privilege === 'kernel')
        negotiation.refuse(
          'EINVAL',
          'a driver behind VFIO is a process, and not the kernel',
          { driver: 'driver.privilege: process' },
          { option: 'driver.privilege: kernel' },
        );
      else negotiation.note('the driver is a process, and the container decides what its device reaches');
    },
  },
];

/**
 * The negotiation rules of a no-IOMMU container. They accept every device: it uses physical addresses whatever it
 * offers.
 */
export function noiommuRules(container: NoiommuContainer): readonly NegotiationRule[] {
  return [
    {
      name: 'vfio-noiommu-driver-is-trusted',
      source: 'Linux vfio_noiommu_ops: a type of container of its own, which no process uses by accident',
      stage: 'assignment',
      apply(negotiation) {
        const { privilege } = negotiation.input;
        if (privilege === 'process-noiommu')
          return negotiation.note('the driver is a process that declares that it has no IOMMU');
        // The core refuses a plain `process`, because nothing isolates it here.
        negotiation.refuse(
          'EINVAL',
          `a driver of this container is a process without an IOMMU, not ${privilege}`,
          { driver: 'driver.privilege: process-noiommu' },
          { option: `platform.container: noiommu, driver.privilege: ${privilege}` },
        );
      },
    },
    {
      name: 'vfio-noiommu-is-unsafe',
      source: 'Linux vfio_noiommu_open, vfio_container_attach_group: enable_unsafe_noiommu_mode and CAP_SYS_RAWIO',
      stage: 'assignment',
      apply(negotiation) {
        const result = container.attach();
        if (result === 0)
          return negotiation.note('the kernel is configured to hand out devices without an IOMMU, which taints it');
        negotiation.refuse(
          errnoName(result),
          'without an IOMMU the process reaches all of memory, so it needs enable_unsafe_noiommu_mode and CAP_SYS_RAWIO',
          { platform: 'unsafeNoiommuMode: true and capSysRawio: true' },
          { option: 'platform.container: noiommu' },
        );
      },
    },
  ];
}
