import { DmaError } from '@virtio-platform/core';
import { DMA_UNREACHABLE, IovaDmaMapping } from '@virtio-platform/core/dma';
import type { GuestMemory, LeakLog } from '@virtio-platform/core/memory';
import type { TranslatedDomain } from './translated-domain.ts';

/** The mapping of a queue in a translated domain. */
export class VirtioIommuDmaMapping extends IovaDmaMapping {
  /** `capacity` is how many mappings can live at once. The mapping does not own the domain and the log. */
  constructor(memory: GuestMemory, domain: TranslatedDomain, capacity: number, leaks?: LeakLog) {
    super(memory, domain, {
      capacity,
      leaks,
      platform: 'virtio-iommu',
      failed: 'did not unmap',
      because: 'because the unit does not unmap them',
      hint: 'raise platform.aperture or platform.unit.mappings, or ask for less (a smaller queue or depth)',
    });
  }

  protected override regionError(reason: number, length: number): DmaError {
    if (reason !== DMA_UNREACHABLE) return super.regionError(reason, length);
    return new DmaError('ERR_DMA_EXHAUSTED', `virtio-iommu: the unit does not map ${length} bytes`, {
      hint: 'the unit refused the MAP request, or it does not answer any more',
    });
  }
}
