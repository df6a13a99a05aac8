import type { MappingSteps } from '@virtio-platform/core/negotiation';
import type { PseriesOptions } from './pseries-options.ts';

/** Where the device finds a translation, in each kind of window. */
const ACCESS = 'The hypervisor looks the address up in the TCE table of the window, entry by entry of its pages';

const WINDOWS: Readonly<Record<PseriesOptions['window']['mapping'], MappingSteps>> = {
  dynamic: {
    map:
      'The guest takes free bus pages and points one TCE for each at the buffer: H_PUT_TCE for one page, ' +
      'H_PUT_TCE_INDIRECT for several, with exactly the permission of the direction.',
    unmap:
      'H_STUFF_TCE clears the entries: from now on the device faults at this bus address, and the bus pages are free.',
    region: 'The region gets bus pages of its own, by H_PUT_TCE_INDIRECT, and they stay mapped until it is released.',
    release: 'H_STUFF_TCE clears the entries of the region.',
    access: `${ACCESS}; without an entry, or without the permission, the access faults.`,
  },
  linear: {
    map:
      'The 64-bit window maps all of memory, so mapping is an addition: physical address plus the base of the window. ' +
      'There is no hypercall.',
    unmap: 'No entry changes: the window maps all of memory until it is removed.',
    region: 'The region gets its physical address plus the base of the window. There is no hypercall.',
    release: 'No entry changes: the window maps all of memory until it is removed.',
    access: `${ACCESS}; the window maps all of memory.`,
  },
  identity: {
    map: 'Entry i of the TCE table points at page i, so the bus address is the physical one. There is no hypercall.',
    unmap: 'No entry changes: the table maps all of memory until the end.',
    region: 'The region keeps its physical address as bus address. There is no hypercall.',
    release: 'No entry changes: the table maps all of memory until the end.',
    access: `${ACCESS}; entry i points at page i.`,
  },
};

/** The ultravisor denies the device every page that was not shared, so buffers are copied. */
const SECURE: Pick<MappingSteps, 'map' | 'unmap' | 'region' | 'release'> = {
  map:
    'The secure guest copies the buffer into a slot of the shared bounce pool, and the address is that of the slot: ' +
    'the device never sees the buffer itself.',
  unmap: 'The guest copies back what the device wrote, and the slot is free for the next buffer.',
  region:
    'The region gets memory that the guest shared by an ultracall, and its address in the window. ' +
    'A region of the driver is copied there at each sync.',
  release: 'The shared memory of the region is given back.',
};

/** What mapping does with these options. */
export function pseriesMappingSteps({ window, secure }: Pick<PseriesOptions, 'window' | 'secure'>): MappingSteps {
  const steps = WINDOWS[window.mapping];
  return secure ? { ...steps, ...SECURE } : steps;
}
