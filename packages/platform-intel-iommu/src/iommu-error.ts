import { DmaError } from '@virtio-platform/core';

/** The unit cannot do what the options ask of it. */
export function unsupported(message: string, hint: string): DmaError {
  return new DmaError('ERR_IOMMU_UNSUPPORTED', `intel-iommu: ${message}`, { hint });
}

/** The unit did not do what its registers were told, in bounded time. */
export function unresponsive(message: string): DmaError {
  return new DmaError('ERR_IOMMU_UNRESPONSIVE', `intel-iommu: ${message}`, {
    hint: 'the remapping unit is broken, or is not one; a device that is refused now reaches nothing through it',
  });
}
