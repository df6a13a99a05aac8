import { DmaError } from '@virtio-platform/core';
import { DMA_UNREACHABLE, writeDeviceAddress, ZeroCopyDmaMapping } from '@virtio-platform/core/dma';
import { PAGE_SIZE } from '@virtio-platform/core/memory';

/** High word of XEN_GRANT_DMA_ADDR_OFF: bit 63 tells a grant from an address. */
const GRANT_HIGH = 0x8000_0000;

const WORD = 0x1_0000_0000;

/** Guest-physical-looking number of a device address without bit 63; -1 for an address that is no grant. */
export function grantPlace(low, high) {
  return high < GRANT_HIGH ? -1 : (high - GRANT_HIGH) * WORD + low;
}

/**
 * The mapping of a queue whose pages are granted to the back-end's domain (Linux drivers/xen/grant-dma-ops.c): a device
 * address is bit 63, the reference of a grant, and the offset in its page. Grants are whole pages, so a device also
 * reaches the neighbours of a buffer in its first and last page; coherent memory fills whole pages.
 */
export class GrantDmaMapping extends ZeroCopyDmaMapping {
  #grants;

  constructor(memory, grants, capacity, leaks) {
    const limits = {
      addressBits: 64,
      // One page less, for a buffer that begins in the middle of a page.
      maxMappingSize: Math.min((grants.count - 1) * PAGE_SIZE, 2 ** 31),
      alignment: 1,
      boundary: Infinity,
      maxMappings: capacity,
    };
    const reach = memory.size;
    super({ path: 'granted', limits, capacity, reach, coherentUnit: PAGE_SIZE, coherent: memory, leaks });
    this.#grants = grants;
  }

  resolve(low, high) {
    return this.#grants.resolve(grantPlace(low, high));
  }

  mapPages(address, length, direction, alignment) {
    return this.#grants.map(address, length, direction, alignment);
  }

  unmapPages(place, _address, length, free) {
    return this.#grants.unmap(place, length, free);
  }

  writePlace(place, _address, words, at) {
    writeDeviceAddress(place, 0, GRANT_HIGH, words, at);
  }

  keptReason(place, length) {
    const first = Math.floor(place / PAGE_SIZE);
    const last = Math.floor((place + length - 1) / PAGE_SIZE);
    const which = first === last ? `grant ${first} is` : `of the grants ${first} to ${last} some are`;
    return `${which} still in use by domain ${this.#grants.domain}`;
  }

  reclaim() {
    return this.#grants.reclaim();
  }

  regionError(reason, length) {
    if (reason === DMA_UNREACHABLE) {
      return new DmaError('ERR_DMA_RANGE', `xen-grants: ${length} bytes: the device is disabled`, {
        hint: 'a grant was still in use by the back-end when the driver wanted it back; reset the device',
      });
    }
    const { used, free, inUse } = this.#grants.statistics;
    const message = `xen-grants: no room for ${length} bytes; ${used} grants are used, ${free} free, ${inUse} in use`;
    return new DmaError('ERR_DMA_EXHAUSTED', message, {
      hint: 'raise platform.entries, or ask for less (a smaller queue or depth)',
    });
  }
}
