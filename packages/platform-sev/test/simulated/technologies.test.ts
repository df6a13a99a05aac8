import { DMA_NO_SPACE } from '@virtio-platform/core/dma';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import type { Technology } from '@virtio-platform/platform-sev';
import { bootEncryptedGuest, type EncryptedGuest } from '../encrypted-guest.ts';

/** The first page that a guest gets. */
const PRIVATE = PAGE_SIZE;
const WRITTEN = PRIVATE + 100;

function boot(technology: Technology): EncryptedGuest {
  const guest = bootEncryptedGuest({ technology });
  expect(guest.memory.allocate(PAGE_SIZE, PAGE_SIZE)).toBe(PRIVATE);
  guest.memory.u8.fill(0x33, PRIVATE, PRIVATE + PAGE_SIZE);
  return guest;
}

/** What the device reads of the private page. */
function readPrivate({ space }: EncryptedGuest): Uint8Array {
  const target = new Uint8Array(64).fill(0x77);
  expect(space.read(PRIVATE, 0, target, 0, 64)).toBe(false);
  return target;
}

/** What the guest finds around the eight bytes that the device wrote there. */
function writePrivate({ memory, space }: EncryptedGuest): { changed: number[]; last: number } {
  expect(space.write(WRITTEN, 0, new Uint8Array(8).fill(0xee), 0, 8)).toBe(false);
  const page = memory.u8.slice(PRIVATE, PRIVATE + PAGE_SIZE);
  const changed = [...page.keys()].filter((i) => page[i] !== 0x33);
  return { changed, last: page[WRITTEN - PRIVATE]! };
}

describe('a device at a private page', () => {
  it('of SEV reads ciphertext, and corrupts the block it writes to', () => {
    const guest = boot('sev');
    expect(new Set(readPrivate(guest)).size).toBeGreaterThan(10);
    const { changed, last } = writePrivate(guest);
    expect([changed.every((i) => i >= 96 && i < 112), changed.length > 8, last === 0xee]).toEqual([true, true, false]);
  });

  it('of SEV-SNP reads ciphertext, and writes nothing', () => {
    const guest = boot('snp');
    expect(new Set(readPrivate(guest)).size).toBeGreaterThan(10);
    expect(writePrivate(guest).changed).toEqual([]);
  });

  it('of TDX reads zeros, and poisons the line it writes to', () => {
    const guest = boot('tdx');
    expect(new Set(readPrivate(guest))).toEqual(new Set([0]));
    expect(writePrivate(guest)).toEqual({ changed: Array.from({ length: 64 }, (_, i) => 64 + i), last: 0xff });
  });

  it('outside a restricted pool reads zeros, and writes nothing', () => {
    const guest = boot('restricted-pool');
    expect(new Set(readPrivate(guest))).toEqual(new Set([0]));
    expect(writePrivate(guest).changed).toEqual([]);
  });

  it.each([
    ['sev', 'private-page'],
    ['snp', 'private-page'],
    ['tdx', 'private-page'],
    ['restricted-pool', 'access-denied'],
  ] as const)('is seen: %s', (technology, cause) => {
    const guest = boot(technology);
    readPrivate(guest);
    writePrivate(guest);
    expect(guest.faults.entries).toEqual([
      { address: BigInt(PRIVATE), length: 64, access: 'read', cause },
      { address: BigInt(WRITTEN), length: 8, access: 'write', cause },
    ]);
  });
});

describe('a restricted pool', () => {
  it('holds rings and slots, preserves what memory held, and is taken away again', () => {
    const guest = boot('restricted-pool');
    const mapping = guest.platform.openMapping('bounced', { queue: 0, capacity: 4 });
    const ring = mapping.allocateCoherent(5000, 16);
    const words = new Uint32Array(2);
    const id = mapping.map(PRIVATE, 64, 1, words, 0);
    expect(id).toBeGreaterThanOrEqual(0);
    const seen = new Uint8Array(64);
    expect(guest.space.read(words[0]!, 0, seen, 0, 64)).toBe(true);
    expect(seen[0]).toBe(0x33);
    expect(guest.space.write(ring.address, 0, seen, 0, 64)).toBe(true);
    // One range of memory: slots and ring are within the pool.
    expect(Math.abs(ring.address - words[0]!)).toBeLessThan(256 * 1024);
    expect(guest.platform.bouncePool).toMatchObject({ slots: 128, used: 5 });
    mapping.unmap(id, 0);
    ring.release();
    guest.platform.dispose();
    expect(guest.space.read(words[0]!, 0, seen, 0, 64)).toBe(false);
    expect(guest.memory.u8[PRIVATE]).toBe(0x33);
    expect(guest.memory.allocated).toBe(PAGE_SIZE);
  });

  it('is used up by rings too, and says so', () => {
    const guest = boot('restricted-pool');
    const mapping = guest.platform.openMapping('bounced', { queue: 0, capacity: 4 });
    const exhausted: unknown = expect.objectContaining({
      code: 'ERR_DMA_EXHAUSTED',
      hint: expect.stringContaining('platform.pool'),
    });
    expect(mapping.limits.maxRegionSize).toBe(256 * 1024);
    expect(() => mapping.allocateCoherent(300 * 1024, 16)).toThrow(exhausted);
    const most = mapping.allocateCoherent(256 * 1024, 16);
    expect(() => mapping.allocateCoherent(1, 16)).toThrow(exhausted);
    expect(mapping.map(PRIVATE, 64, 1, new Uint32Array(2), 0)).toBe(DMA_NO_SPACE);
    most.release();
    expect(mapping.map(PRIVATE, 64, 1, new Uint32Array(2), 0)).toBeGreaterThanOrEqual(0);
  });
});

describe('a host that refuses to convert pages', () => {
  it.each([1, 2, 3])('at time %d costs an allocation and these pages, and nothing else', (time) => {
    const guest = bootEncryptedGuest({ failures: { conversion: { nth: [time] } } });
    const mappings = [];
    let failures = 0;
    for (let i = 0; i < 4; i++) {
      try {
        mappings.push(guest.platform.openMapping('bounced', { queue: i, capacity: 4 }));
        mappings.at(-1)!.allocateCoherent(100, 16);
      } catch (error) {
        expect(error).toMatchObject({ code: 'ERR_DMA_EXHAUSTED' });
        failures++;
      }
    }
    expect(failures).toBe(1);
    guest.platform.dispose();
    expect(guest.platform.leakedBytes).toBeGreaterThan(0);
    expect(guest.memory.allocated).toBe(guest.platform.leakedBytes);
  });

  it('when it is to become private keeps what it has, and the guest never uses it again', () => {
    const guest = bootEncryptedGuest({ failures: { conversion: { nth: [3] } } });
    const mapping = guest.platform.openMapping('bounced', { queue: 0, capacity: 4 });
    const ring = mapping.allocateCoherent(8192, 16);
    ring.release();
    expect(guest.platform.leakedBytes).toBe(8192);
    expect(mapping.allocateCoherent(8192, 16).address).not.toBe(ring.address);
  });
});
