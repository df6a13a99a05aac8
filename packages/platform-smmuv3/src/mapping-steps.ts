import { IDENTITY_STEPS } from '@virtio-platform/core';
import type { DomainKind } from '@virtio-platform/core/dma';
import type { MappingSteps } from '@virtio-platform/core/negotiation';

const INVALIDATE =
  'The guest clears the entries, writes a TLBI command for each page and a CMD_SYNC to the command queue, and waits ' +
  'until the unit has consumed them: until then the device could still reach the pages.';

/** What mapping does, by the kind of domain. */
export const MAPPING_STEPS: Readonly<Record<DomainKind, MappingSteps>> = {
  translated: {
    map:
      'The guest takes free I/O virtual pages and writes an entry of the translation tables for each: read-only for ' +
      'what the device reads, and for the rest readable and writable. The buffer keeps its offset in its page.',
    unmap: INVALIDATE,
    region: 'The region gets I/O virtual pages of its own, which stay mapped until it is released.',
    release: INVALIDATE,
    access:
      'The SMMU finds the stream table entry of this device, its context descriptor and its translation tables, or ' +
      'takes the translation from its TLB.',
  },
  'pass-through': {
    ...IDENTITY_STEPS,
    access: 'The stream table entry says bypass: the addresses of this device are physical ones.',
  },
  identity: { ...IDENTITY_STEPS, access: 'The SMMU walks translation tables that lead each address to itself.' },
};
