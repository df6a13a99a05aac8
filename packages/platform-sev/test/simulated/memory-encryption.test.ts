import { describe, expect, it } from 'vitest';
import { generateMemoryKeys, MemoryEncryption } from '@virtio-platform/platform-sev';

const PLAIN = new Uint8Array(64).fill(0x5a);

describe('MemoryEncryption', () => {
  it('decrypts what it encrypted at the same address', () => {
    const encryption = new MemoryEncryption(generateMemoryKeys());
    const cipher = encryption.encrypt(0x4000, PLAIN);
    expect(cipher).not.toEqual(PLAIN);
    expect(Buffer.from(encryption.decrypt(0x4000, cipher))).toEqual(Buffer.from(PLAIN));
  });

  it('hides equal data: every block differs by its address', () => {
    const encryption = new MemoryEncryption(generateMemoryKeys());
    const blocks = new Set<string>();
    for (const address of [0x4000, 0x5000, 0x4000 + 2 ** 36]) {
      const cipher = Buffer.from(encryption.encrypt(address, PLAIN));
      for (let at = 0; at < cipher.length; at += 16) blocks.add(cipher.toString('hex', at, at + 16));
    }
    expect(blocks.size).toBe(12);
  });

  it('does not decrypt ciphertext that was moved', () => {
    const encryption = new MemoryEncryption(generateMemoryKeys());
    expect(encryption.decrypt(0x5000, encryption.encrypt(0x4000, PLAIN))).not.toEqual(PLAIN);
  });

  it('gives every guest other ciphertext', () => {
    const one = new MemoryEncryption(generateMemoryKeys()).encrypt(0, PLAIN);
    const other = new MemoryEncryption(generateMemoryKeys()).encrypt(0, PLAIN);
    expect(Buffer.from(one)).not.toEqual(Buffer.from(other));
  });

  // The number of the block has 32 bits, then 33; and 31, then 32.
  it.each([0x4000, 2 ** 36 - 32, 2 ** 35 - 32])(
    'gives a range at %d the same ciphertext in one piece and block by block',
    (address) => {
      const encryption = new MemoryEncryption(generateMemoryKeys());
      const parts = [0, 16, 32, 48].map((at) => encryption.encrypt(address + at, PLAIN.subarray(at, at + 16)));
      expect(Buffer.concat(parts)).toEqual(Buffer.from(encryption.encrypt(address, PLAIN)));
    },
  );

  it('matches XEX over AES-128 computed with known keys', () => {
    // T = E(0, block 0x400), C = E(0, P xor T) xor T, with both keys zero, by `openssl enc -aes-128-ecb -K 00..
    // -nopad`.
    const zero = new MemoryEncryption({ data: new Uint8Array(16), tweak: new Uint8Array(16) });
    expect(Buffer.from(zero.encrypt(0x4000, new Uint8Array(16))).toString('hex')).toBe(
      'c8a939b880f89a487f306018cee493b2',
    );
  });
});
