import type { MappingSteps } from '@virtio-platform/core/negotiation';
import { hasOnePool, type SevOptions } from './options.ts';

const SHARED = 'in pages that the guest converted to shared';
const POOL = 'in the one pool that the device reaches';

const REACHED: Readonly<Record<SevOptions['technology'], string>> = {
  sev: 'shared pages are plain, and a private page would be ciphertext that a write corrupts',
  snp: 'shared pages are plain, and a private page would be ciphertext that cannot be written',
  tdx: 'shared pages are plain, and a private page would read as zeros and be poisoned by a write',
  'restricted-pool': 'the device reaches the pool and nothing else',
  pkvm: 'the hypervisor lets the host reach the pool and nothing else',
  cca: 'the top bit is set, which leads to shared pages; an address without it is of the realm, and access is denied',
};

/** What mapping does with this technology. */
export function sevMappingSteps({ technology }: Pick<SevOptions, 'technology'>): MappingSteps {
  const place = hasOnePool({ technology }) ? POOL : SHARED;
  const alias = technology === 'cca' ? ' with the top bit set' : '';
  return {
    map:
      `The guest copies the buffer into a slot ${place}, and the device gets the physical address of the ` +
      `slot${alias}: ` +
      'it never sees the buffer itself. The slot is filled also where the device only writes, so that no byte of its ' +
      'last user comes back.',
    unmap: 'The guest copies back the bytes that the device wrote, and no more; the slot is free for the next buffer.',
    region:
      `The region gets memory ${place}. A ring lies there itself; a region of the driver stays private and is copied ` +
      'there at each sync.',
    release: 'The shared memory of the region is given back.',
    access: `The address is guest-physical: ${REACHED[technology]}.`,
  };
}
