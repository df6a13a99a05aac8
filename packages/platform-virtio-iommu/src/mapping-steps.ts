import type { MappingSteps } from '@virtio-platform/core/negotiation';
import type { Domain } from './virtio-iommu-options.ts';

const UNMAP = 'The guest sends an UNMAP request. The pages are the guest’s again once the unit answers it with OK.';

const PHYSICAL: Pick<MappingSteps, 'map' | 'unmap' | 'region' | 'release'> = {
  map: 'The device gets the physical address, and no request is sent.',
  unmap: 'No request is sent: the device could still reach the bytes.',
  region: 'The region keeps its physical address, and no request is sent.',
  release: 'The memory goes back to the guest; no request is sent.',
};

/** What mapping does, by the kind of domain. */
export const MAPPING_STEPS: Readonly<Record<Domain, MappingSteps>> = {
  translated: {
    map:
      'The guest takes free I/O virtual pages, adds a MAP request with exactly the permission of the direction to the ' +
      'request queue of the unit, and waits for its status. The buffer keeps its offset in its page.',
    unmap: UNMAP,
    region: 'The region gets I/O virtual pages of its own by one MAP request, and stays mapped until it is released.',
    release: UNMAP,
    access: 'The unit looks the address up among the mappings of the domain of this device.',
  },
  bypass: { ...PHYSICAL, access: 'The unit lets the addresses of this device through: they are physical ones.' },
  identity: { ...PHYSICAL, access: 'The unit has one mapping of memory to itself, with holes at reserved regions.' },
};
