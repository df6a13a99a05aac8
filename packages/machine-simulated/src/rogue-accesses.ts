import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import type { RogueAccess } from './options.ts';

/** The accesses beyond its buffers that a device makes on a schedule: `machine.rogue` of a profile. */
export class RogueAccesses {
  readonly #space: DeviceAddressSpace;
  readonly #schedule: readonly RogueAccess[];
  readonly #bytes = new Uint8Array(PAGE_SIZE).fill(0xa5);
  #handled = 0;
  #wasReset = false;

  constructor(space: DeviceAddressSpace, schedule: readonly RogueAccess[]) {
    this.#space = space;
    this.#schedule = schedule;
  }

  /** Makes the accesses that are due after one more buffer. Hot: no allocation where none is due. */
  afterBuffer(): void {
    this.#makeDue(++this.#handled);
  }

  /**
   * Makes the accesses that complete with the first reset: a device goes on with what a former driver told it until it
   * is reset.
   */
  beforeReset(): void {
    if (this.#wasReset) return;
    this.#wasReset = true;
    this.#makeDue(0);
  }

  #makeDue(due: number): void {
    for (const { after, access, address, length } of this.#schedule) {
      if (after !== due) continue;
      const low = Number(address & 0xffff_ffffn);
      const high = Number(address >> 32n);
      if (access === 'read') this.#space.read(low, high, new Uint8Array(length), 0, length);
      else this.#space.write(low, high, this.#bytes, 0, length);
    }
  }
}
