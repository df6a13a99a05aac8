import { IDENTITY_STEPS } from '@virtio-platform/core';
import type { MappingSteps } from '@virtio-platform/core/negotiation';
import type { DomainKind } from '@virtio-platform/core/dma';

const INVALIDATE =
  'The guest clears the entries and waits until the unit confirms that it dropped its cached translations: ' +
  'until then the device could still reach the pages.';

/** What mapping does, by the kind of domain. */
export const MAPPING_STEPS: Readonly<Record<DomainKind, MappingSteps>> = {
  translated: {
    map:
      'The guest takes free I/O virtual pages and writes an entry of the page tables for each, with exactly the ' +
      'permission of the direction. The buffer keeps its offset in its page.',
    unmap: INVALIDATE,
    region: 'The region gets I/O virtual pages of its own, which stay mapped until it is released.',
    release: INVALIDATE,
    access: 'VT-d walks the page tables of the domain of this device, or takes the translation from its IOTLB.',
  },
  'pass-through': { ...IDENTITY_STEPS, access: 'VT-d lets the addresses of this device through: they are physical.' },
  identity: { ...IDENTITY_STEPS, access: 'VT-d walks page tables that lead each address to itself.' },
};
