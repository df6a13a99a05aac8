import { DirectDmaMapping, probeIdentity } from '@virtio-platform/core/dma';
import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import { LeakLog } from '@virtio-platform/core/memory';
import { GrantDmaMapping } from './grant-dma-mapping.js';
import { Grants } from './grants.js';

/** The facility that this platform needs of a machine: a grant table that hypervisor and back-end honour. */
export const XEN_GRANT_TABLE = Symbol.for('virtio-platform-xen-grants:GrantTable');

/**
 * A guest of Xen. With grants, its driver lets the back-end's domain use one page after the other, and takes them back;
 * without, a device model uses the guest's own addresses, and the kernel asks the platform whatever the device offers.
 */
export class XenPlatform {
  name = 'xen-grants';
  guestByteOrder = 'little';
  #memory;
  #options;
  #grants;
  #mappings = [];

  constructor(options, memory, table) {
    this.#options = options;
    this.#memory = memory;
    this.leaks = new LeakLog(memory);
    this.#grants = options.grants ? new Grants(table, options) : undefined;
    this.rules = xenRules(options);
    this.traits = options.grants ? grantTraits(options) : this.#plainTraits();
  }

  get statistics() {
    return this.#grants === undefined ? {} : { grants: this.#grants.statistics };
  }

  openMapping(path, { capacity }) {
    if (path !== this.traits.mappedPath || path === 'translated')
      throw new TypeError(`xen-grants maps ${this.traits.mappedPath} with these options, not ${path}`);
    const mapping =
      path === 'granted'
        ? new GrantDmaMapping(this.#memory, this.#grants, capacity, this.leaks)
        : new DirectDmaMapping(this.#memory, { path, capacity });
    this.#mappings.push(mapping);
    return mapping;
  }

  dispose() {
    for (const mapping of this.#mappings) mapping.dispose();
    this.#mappings.length = 0;
  }

  #plainTraits() {
    const { emulatedIommu } = this.#options;
    const memory = this.#memory;
    return {
      restrictedMemory: false,
      isolates: emulatedIommu,
      mappedPath: emulatedIommu ? 'translated' : 'identity',
      mapsUnflagged: true,
      addressMeaning: emulatedIommu
        ? 'an address of the emulated IOMMU of Q35, which does not work under Xen'
        : 'the guest-physical address, which the device model in the privileged domain maps itself; it was probed',
      identityVerified:
        !emulatedIommu && probeIdentity(new DirectDmaMapping(memory, { path: 'identity', capacity: 1 }), memory),
      reachesAllMemory: !emulatedIommu,
    };
  }
}

function grantTraits({ domain }) {
  return {
    restrictedMemory: true,
    isolates: true,
    mappedPath: 'granted',
    identityVerified: undefined,
    addressMeaning: `bit 63, and the number of a grant that lets domain ${domain} use one page`,
    // A grant is for reading, or for reading and writing.
    writableIsReadable: true,
    // A grant ends when the back-end unmapped it; the grants of a ring stay mapped until the device is reset.
    keepsBorrowed: true,
    // Linux xen_grant_dma_supported: grants are told from addresses by bit 63.
    addressBits: 64,
  };
}

/** The rules that Xen adds; the core's own refuse a device that cannot be told of grants, by `restrictedMemory`. */
function xenRules({ grants, domain, emulatedIommu }) {
  return [
    {
      name: 'xen-grants-to-the-back-end',
      source: 'Linux xen_virtio_restricted_mem_acc, drivers/xen/grant-dma-ops.c',
      stage: 'restricted-memory',
      apply(negotiation) {
        negotiation.note(
          grants ? `each page is granted to domain ${domain}` : 'no back-end is named: the guest grants nothing',
        );
      },
    },
    {
      name: 'xen-has-no-emulated-iommu',
      source: 'Linux drivers/virtio/virtio_ring.c, the comment of vring_use_map_api: it never worked',
      stage: 'access',
      apply(negotiation) {
        if (!emulatedIommu) return;
        if (!negotiation.input.offered.has(VIRTIO_F_ACCESS_PLATFORM)) {
          negotiation.note('the device bypasses the emulated IOMMU');
          return;
        }
        negotiation.refuse('ENOTSUP', 'no guest of Xen works with the emulated IOMMU of Q35', {
          platform: 'emulatedIommu: false',
        });
      },
    },
  ];
}
