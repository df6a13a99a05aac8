import type { NegotiationRule } from '@virtio-platform/core/negotiation';
import { errnoName } from './container/errno.ts';
import type { NoiommuContainer } from './container/noiommu-container.ts';

/** Who gets a device that no IOMMU stands before. Any device will do: it takes physical addresses, whatever it offers. */
export function noiommuRules(container: NoiommuContainer): readonly NegotiationRule[] {
  return [
    {
      name: 'vfio-noiommu-driver-is-trusted',
      source: 'Linux vfio_noiommu_ops: a type of container of its own, which no process uses by accident',
      stage: 'hand-over',
      apply(negotiation) {
        const { privilege } = negotiation.input;
        if (privilege === 'process-noiommu') return negotiation.note('a process that says it does without an IOMMU');
        // The core refuses a mere process: nothing isolates it.
        negotiation.refuse('EINVAL', `a driver of this container is a process without an IOMMU, not ${privilege}`, {
          driver: 'driver.privilege: process-noiommu',
        });
      },
    },
    {
      name: 'vfio-noiommu-is-unsafe',
      source: 'Linux vfio_noiommu_open, vfio_container_attach_group: enable_unsafe_noiommu_mode and CAP_SYS_RAWIO',
      stage: 'hand-over',
      apply(negotiation) {
        const result = container.attach();
        if (result === 0)
          return negotiation.note('the kernel was told to give such devices away, and is tainted by it');
        negotiation.refuse(
          errnoName(result),
          'without an IOMMU the process reaches all of memory: that takes enable_unsafe_noiommu_mode and CAP_SYS_RAWIO',
          { platform: 'unsafeNoiommuMode: true and capSysRawio: true' },
        );
      },
    },
  ];
}
