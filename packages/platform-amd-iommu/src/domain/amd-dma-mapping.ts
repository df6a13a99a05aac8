import { IovaDmaMapping, type InvalidatedDomain } from '@virtio-platform/core/dma';
import type { GuestMemory, LeakLog } from '@virtio-platform/core/memory';

/** The mapping of a queue in a translated domain. */
export class AmdDmaMapping extends IovaDmaMapping {
  /** `capacity` is how many mappings can live at once. The mapping does not own the domain and the log. */
  constructor(memory: GuestMemory, domain: InvalidatedDomain, capacity: number, leaks?: LeakLog) {
    super(memory, domain, {
      capacity,
      leaks,
      platform: 'amd-iommu',
      failed: 'did not confirm the invalidation of',
      because: 'because the unit does not confirm an invalidation',
      hint: 'raise platform.aperture or memory, or ask for less (a smaller queue or depth)',
    });
  }
}
