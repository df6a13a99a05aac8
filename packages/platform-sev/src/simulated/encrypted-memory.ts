import { checkConversion, PAGE_SIZE, type GuestMemory, type PageStates } from '@virtio-platform/core/memory';
import type { MemoryConversion } from '../memory-conversion.ts';
import type { MemoryEncryption } from './memory-encryption.ts';

/**
 * The guest's side of encrypted memory in software. Guest memory holds what the *guest* sees: plaintext of private pages, the
 * bytes themselves of shared ones. Converting changes only which of the two a page is, never the bytes in the memory chips:
 * the guest then sees the ciphertext of what it had, or the decryption of what was there.
 */
export class EncryptedMemory implements MemoryConversion {
  readonly #memory: GuestMemory;
  readonly #states: PageStates;
  readonly #encryption: MemoryEncryption;

  constructor(memory: GuestMemory, states: PageStates, encryption: MemoryEncryption) {
    this.#memory = memory;
    this.#states = states;
    this.#encryption = encryption;
  }

  setShared(address: number, length: number): boolean {
    return this.#convert(address, length, true);
  }

  setPrivate(address: number, length: number): boolean {
    return this.#convert(address, length, false);
  }

  #convert(address: number, length: number, toShared: boolean): boolean {
    checkConversion(this.#memory, address, length);
    for (let page = address; page < address + length; page += PAGE_SIZE) {
      if (this.#states.isShared(page) !== toShared) this.#convertPage(page, toShared);
    }
    return true;
  }

  #convertPage(page: number, toShared: boolean): void {
    const bytes = this.#memory.u8.subarray(page, page + PAGE_SIZE);
    bytes.set(toShared ? this.#encryption.encrypt(page, bytes) : this.#encryption.decrypt(page, bytes));
    this.#states.set(page, toShared);
  }
}
