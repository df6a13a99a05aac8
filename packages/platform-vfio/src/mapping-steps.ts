import type { MappingSteps } from '@virtio-platform/core/negotiation';
import type { ContainerType } from './container/vfio-container.ts';

const PINS = 'which pins its pages and counts them against the limit of locked memory';
const REGISTERED = 'whose memory was registered, and so pinned, once for all';
const UNMAP = 'VFIO_IOMMU_UNMAP_DMA takes the pages from the device again: from now on it faults at this address.';

function container(memory: string): MappingSteps {
  return {
    map:
      'The process chooses an I/O virtual address and asks the kernel to map the whole pages of the buffer there: ' +
      `VFIO_IOMMU_MAP_DMA, ${memory}. One system call for each buffer.`,
    unmap: UNMAP,
    region: `One VFIO_IOMMU_MAP_DMA maps the whole region, ${memory}; many requests then use it.`,
    release: UNMAP,
    access: 'The IOMMU translates the I/O virtual address through the tables of the container, or the access faults.',
  };
}

/** What mapping does, by the kind of container. */
export const MAPPING_STEPS: Readonly<Record<Exclude<ContainerType, 'noiommu'>, MappingSteps>> = {
  type1: container(PINS),
  type1v2: container(PINS),
  'spapr-v1': container('in a window that was accounted as locked memory once'),
  'spapr-v2': container(REGISTERED),
  'iommufd-type1': container(PINS),
  'iommufd-type1v2': container(PINS),
  iommufd: {
    map:
      'The process asks the kernel to map the whole pages of the buffer, and the kernel chooses the I/O virtual ' +
      `address: IOMMU_IOAS_MAP, ${PINS}. One system call for each buffer.`,
    unmap: 'IOMMU_IOAS_UNMAP takes the pages from the device again: from now on it faults at this address.',
    region: `One IOMMU_IOAS_MAP maps the whole region, ${PINS}; many requests then use it.`,
    release: 'IOMMU_IOAS_UNMAP takes the region from the device.',
    access: 'The IOMMU translates the I/O virtual address through the tables of the address space, or it faults.',
  },
};
