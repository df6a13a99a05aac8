import { createCipheriv, createDecipheriv, randomBytes, type Cipher, type Decipher } from 'node:crypto';
import {
  checkConversion,
  PAGE_SIZE,
  type GuestMemory,
  type MemoryConversion,
  type PageStates,
} from '@virtio-platform/core/memory';

/**
 * Bytes that are converted in one call of the cipher: a call costs as much as many pages, and what it works on should
 * stay in the caches.
 */
const MOST_AT_ONCE = 64 * PAGE_SIZE;

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
    const end = address + length;
    for (let page = address; page < end;) {
      const run = this.#states.runAt(page, Math.min(end - page, MOST_AT_ONCE));
      if (this.#states.isShared(page) !== toShared) this.#convertRun(page, run, toShared);
      page += run;
    }
    return true;
  }

  #convertRun(address: number, length: number, toShared: boolean): void {
    const bytes = this.#memory.u8.subarray(address, address + length);
    bytes.set(toShared ? this.#encryption.encrypt(address, bytes) : this.#encryption.decrypt(address, bytes));
    this.#states.setAll(address, length, toShared);
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
    const masked = wordsOf(new Uint8Array(input));
    xor(masked, tweak);
    const output = wordsOf(cipher.setAutoPadding(false).update(masked));
    xor(output, tweak);
    return new Uint8Array(output.buffer, output.byteOffset, output.byteLength);
  }

  /** One tweak per block: the block's number, encrypted. */
  #tweak(address: number, blocks: number): Int32Array {
    const numbers = new Int32Array((blocks * CIPHER_BLOCK) / 4);
    const first = address / CIPHER_BLOCK;
    let low = first | 0;
    let high = Math.floor(first / 0x1_0000_0000);
    for (let i = 0; i < blocks; i++) {
      numbers[i * 4] = low;
      numbers[i * 4 + 1] = high;
      low = (low + 1) | 0;
      if (low === 0) high++;
    }
    const cipher = createCipheriv('aes-128-ecb', this.#keys.tweak, null);
    return wordsOf(cipher.setAutoPadding(false).update(numbers));
  }
}

/** The same bytes as words: of a copy where they do not lie at a word. */
function wordsOf(bytes: Uint8Array): Int32Array {
  const { buffer, byteOffset, length } = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  return new Int32Array(buffer, byteOffset, length / 4);
}

function xor(words: Int32Array, mask: Int32Array): void {
  for (let i = 0; i < words.length; i++) words[i]! ^= mask[i]!;
}
