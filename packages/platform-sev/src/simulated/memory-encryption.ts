import { createCipheriv, createDecipheriv, randomBytes, type Cipher, type Decipher } from 'node:crypto';

/** Bytes that are encrypted as one. */
export const CIPHER_BLOCK = 16;

/** The keys of one guest: for the data and for the tweak, 16 bytes each. Structured-cloneable. */
export interface MemoryKeys {
  readonly data: Uint8Array;
  readonly tweak: Uint8Array;
}

/** Makes the keys of a guest, as the security processor does at every launch. */
export function generateMemoryKeys(): MemoryKeys {
  return { data: new Uint8Array(randomBytes(16)), tweak: new Uint8Array(randomBytes(16)) };
}

/**
 * What the memory controller does to private memory: AES-128 in XEX mode, tweaked by the address, so that equal data at two
 * addresses looks different and moved ciphertext does not decrypt. As in SEV there is no integrity: any ciphertext decrypts.
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
