import { GuestMemory, PAGE_SIZE, PageStates } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { EncryptedMemory, generateMemoryKeys, MemoryEncryption } from '@virtio-platform/platform-sev';

const PAGE = 2 * PAGE_SIZE;

function boot(pages = 8): {
  memory: GuestMemory;
  states: PageStates;
  encryption: MemoryEncryption;
  encrypted: EncryptedMemory;
} {
  const memory = new GuestMemory(new SharedArrayBuffer(pages * PAGE_SIZE));
  memory.u8.forEach((_, i) => (memory.u8[i] = i % 251));
  const states = PageStates.create(memory.size);
  const encryption = new MemoryEncryption(generateMemoryKeys());
  return { memory, states, encryption, encrypted: new EncryptedMemory(memory, states, encryption) };
}

describe('EncryptedMemory', () => {
  it('shows the guest the ciphertext of what a page held when it becomes shared', () => {
    const { memory, encryption, encrypted } = boot();
    const before = memory.u8.slice(PAGE, PAGE + PAGE_SIZE);
    encrypted.setShared(PAGE, PAGE_SIZE);
    const after = Buffer.from(memory.u8.slice(PAGE, PAGE + PAGE_SIZE));
    expect(after).toEqual(Buffer.from(encryption.encrypt(PAGE, before)));
  });

  it('does not preserve what was written to a shared page when it becomes private', () => {
    const { memory, encryption, encrypted } = boot();
    encrypted.setShared(PAGE, PAGE_SIZE);
    memory.u8.fill(0x77, PAGE, PAGE + PAGE_SIZE);
    encrypted.setPrivate(PAGE, PAGE_SIZE);
    const expected = encryption.decrypt(PAGE, new Uint8Array(PAGE_SIZE).fill(0x77));
    expect(Buffer.from(memory.u8.slice(PAGE, PAGE + PAGE_SIZE))).toEqual(Buffer.from(expected));
  });

  it('gives untouched contents back after a round trip, because the bytes in memory never change', () => {
    const { memory, encrypted } = boot();
    const before = Buffer.from(memory.u8);
    encrypted.setShared(PAGE, 3 * PAGE_SIZE);
    expect(Buffer.from(memory.u8)).not.toEqual(before);
    encrypted.setPrivate(PAGE, 3 * PAGE_SIZE);
    expect(Buffer.from(memory.u8)).toEqual(before);
  });

  it('touches only the pages it converts, and those that already are as asked not at all', () => {
    const { memory, states, encrypted } = boot();
    encrypted.setShared(PAGE, PAGE_SIZE);
    const before = Buffer.from(memory.u8);
    encrypted.setShared(PAGE, PAGE_SIZE);
    encrypted.setPrivate(PAGE + PAGE_SIZE, PAGE_SIZE);
    expect(Buffer.from(memory.u8)).toEqual(before);
    expect([0, 1, 2, 3].map((page) => states.isShared(page * PAGE_SIZE))).toEqual([false, false, true, false]);
  });

  it('converts a long range as its pages one by one, without those that already are as asked', () => {
    const { memory, states, encryption, encrypted } = boot(200);
    for (const page of [3, 64, 150]) encrypted.setShared(page * PAGE_SIZE, PAGE_SIZE);
    const before = memory.u8.slice();
    encrypted.setShared(PAGE_SIZE, 180 * PAGE_SIZE);
    for (let page = 0; page < 200; page++) {
      const bytes = before.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE);
      const isConverted = page >= 1 && page <= 180 && ![3, 64, 150].includes(page);
      const expected = isConverted ? encryption.encrypt(page * PAGE_SIZE, bytes) : bytes;
      expect(Buffer.from(memory.u8.slice(page * PAGE_SIZE, (page + 1) * PAGE_SIZE)).equals(expected)).toBe(true);
      expect(states.isShared(page * PAGE_SIZE)).toBe(page >= 1 && page <= 180);
    }
  });

  it('changes the generation when a page becomes private, and only then', () => {
    const { states, encrypted } = boot();
    encrypted.setShared(PAGE, PAGE_SIZE);
    expect(states.generation).toBe(0);
    encrypted.setPrivate(PAGE, PAGE_SIZE);
    expect(states.generation).toBe(1);
  });

  it.each([
    ['part of a page', PAGE, 100],
    ['a range that starts inside a page', PAGE + 16, PAGE_SIZE],
    ['a range that ends outside memory', 7 * PAGE_SIZE, 2 * PAGE_SIZE],
  ])('refuses to convert %s', (_what, address, length) => {
    const { encrypted } = boot();
    expect(() => encrypted.setShared(address, length)).toThrow(RangeError);
  });
});
