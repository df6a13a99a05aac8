import { createCipheriv, createDecipheriv, randomBytes, type Cipher, type Decipher } from 'node:crypto';
import {
  checkConversion,
  PAGE_SIZE,
  type GuestMemory,
  type MemoryConversion,
  type PageStates,
} from '@virtio-platform/core/memory';

/**
 * The guest's side of simulated encrypted memory. Guest memory holds what the *guest* reads: the plaintext of private
 * pages, the bytes themselves of shared pages. A conversion changes only the kind of a page, never the bytes in the
 * memory chips: afterwards the guest reads the ciphertext of its former plaintext, or the decryption of the former
 * shared bytes.
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

/** Bytes of one cipher block. */
export const CIPHER_BLOCK = 16;

/** The keys of one guest: for the data and for the tweak, 16 bytes each. Structured-cloneable. */
export interface MemoryKeys {
  readonly data: Uint8Array;
  readonly tweak: Uint8Array;
}

/** Generates the keys of a guest, as the security processor does at every launch. */
export function generateMemoryKeys(): MemoryKeys {
  return { data: new Uint8Array(randomBytes(16)), tweak: new Uint8Array(randomBytes(16)) };
}

/**
 * The memory controller's encryption of private memory: AES-128 in XEX mode, tweaked by the address, so that equal data
 * at two addresses looks different and moved ciphertext does not decrypt. As in SEV there is no integrity: any
 * ciphertext decrypts.
 */
export class MemoryEncryption {
  readonly #keys: MemoryKeys;

  constructor(keys: MemoryKeys) {
    this.#keys = keys;
  }

  /** Encrypts whole blocks that lie at `address`, a multiple of {@link CIPHER_BLOCK}. */
  encrypt(address: number, plain: Uint8Array): Uint8Array {
    return this.#transform(createCipheriv('aes-128-ecb', this.#keys.data, null), address, plain);
  }

  decrypt(address: number, raw: Uint8Array): Uint8Array {
    return this.#transform(createDecipheriv('aes-128-ecb', this.#keys.data, null), address, raw);
  }

  #transform(cipher: Cipher | Decipher, address: number, input: Uint8Array): Uint8Array {
    const tweak = this.#tweak(address, input.length / CIPHER_BLOCK);
    const output = cipher.setAutoPadding(false).update(xor(input, tweak));
    return xor(output, tweak);
  }

  /** One tweak per block: the block's number, encrypted. */
  #tweak(address: number, blocks: number): Uint8Array {
    const numbers = new Uint32Array((blocks * CIPHER_BLOCK) / 4);
    for (let i = 0; i < blocks; i++) {
      const block = address / CIPHER_BLOCK + i;
      numbers[i * 4] = block;
      numbers[i * 4 + 1] = block / 0x1_0000_0000;
    }
    const cipher = createCipheriv('aes-128-ecb', this.#keys.tweak, null);
    return cipher.setAutoPadding(false).update(new Uint8Array(numbers.buffer));
  }
}

/** Copies, so that both can be taken as words wherever they lie. */
function xor(one: Uint8Array, other: Uint8Array): Uint8Array {
  const result = new Uint8Array(one);
  const words = new Uint32Array(result.buffer);
  const mask = new Uint32Array(new Uint8Array(other).buffer);
  for (let i = 0; i < words.length; i++) words[i]! ^= mask[i]!;
  return result;
}
