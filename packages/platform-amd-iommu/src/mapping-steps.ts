import { IDENTITY_STEPS } from '@virtio-platform/core';
import type { DomainKind } from '@virtio-platform/core/dma';
import type { MappingSteps } from '@virtio-platform/core/negotiation';

const INVALIDATE =
  'The guest clears the entries, adds INVALIDATE_IOMMU_PAGES and COMPLETION_WAIT to the command buffer, and ' +
  'waits for the number that the unit stores: until then the device could still reach the pages.';

/** What mapping does, by the kind of domain. */
export const MAPPING_STEPS: Readonly<Record<DomainKind, MappingSteps>> = {
  translated: {
    map:
      'The guest takes free I/O virtual pages and writes an entry of the page tables for each, with exactly the ' +
      'permission of the direction. The buffer keeps its offset in its page.',
    unmap: INVALIDATE,
    region: 'The region gets I/O virtual pages of its own, which stay mapped until it is released.',
    release: INVALIDATE,
    access:
      'The unit finds the domain in the device table by the requester id, and walks its page tables, or takes the ' +
      'translation from its cache.',
  },
  'pass-through': {
    ...IDENTITY_STEPS,
    access: 'The device table entry has mode 0, so the unit lets the addresses through: they are physical ones.',
  },
  identity: { ...IDENTITY_STEPS, access: 'The unit walks page tables that lead each address to itself.' },
};
