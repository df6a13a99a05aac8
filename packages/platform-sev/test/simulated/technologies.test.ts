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

  it.each(['restricted-pool', 'pkvm', 'cca'] as const)('of %s reads zeros, and writes nothing', (technology) => {
    const guest = boot(technology);
    expect(new Set(readPrivate(guest))).toEqual(new Set([0]));
    expect(writePrivate(guest).changed).toEqual([]);
  });

  it.each([
    ['sev', 'private-page'],
    ['snp', 'private-page'],
    ['tdx', 'private-page'],
    ['restricted-pool', 'access-denied'],
    ['pkvm', 'access-denied'],
    ['cca', 'access-denied'],
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

describe('a protected guest of pKVM', () => {
  it('shares its pool once, in granules, and nothing afterwards', () => {
    const guest = bootEncryptedGuest({ technology: 'pkvm', granule: 65_536, pool: 512 * 1024, poolLimit: 512 * 1024 });
    // Not at a granule: the pool has to be moved to one.
    guest.memory.allocate(PAGE_SIZE, PAGE_SIZE);
    expect(guest.platform.traits.bounceIsPhysical).toBe(true);
    const [pool] = guest.platform.addressRanges;
    expect([pool!.address! % 65_536, pool!.length]).toEqual([0, 512 * 1024]);
    const mapping = guest.platform.openMapping('bounced', { queue: 0, capacity: 4 });
    const ring = mapping.allocateCoherent(8192, 4096);
    expect(ring.address).toBeGreaterThanOrEqual(pool!.address!);
    expect(ring.address).toBeLessThan(pool!.address! + pool!.length);
    const { conversion } = guest;
    expect(conversion.setShared(pool!.address! + pool!.length, 65_536)).toBe(false);
    ring.release();
    mapping.dispose();
    guest.platform.dispose();
    expect(guest.memory.allocated).toBe(PAGE_SIZE);
  });

  it('has no page that is smaller than a granule shared', () => {
    const guest = bootEncryptedGuest({ technology: 'pkvm', granule: 16_384 });
    expect(guest.conversion.setShared(16_384, PAGE_SIZE)).toBe(false);
    expect(guest.conversion.setShared(PAGE_SIZE, 16_384)).toBe(false);
    expect(guest.conversion.setShared(16_384, 16_384)).toBe(true);
  });
});

describe('a realm of Arm CCA', () => {
  const ALIAS = 2 ** 39;

  it('gives its device addresses of the shared half, and loses what was in a page', () => {
    const guest = bootEncryptedGuest({ technology: 'cca', ipaBits: 40, granule: 4096 });
    const { memory, space, platform } = guest;
    expect([platform.traits.mappedPath, platform.traits.bounceIsPhysical]).toEqual(['bounced+linear', false]);
    const mapping = platform.openMapping('bounced+linear', { queue: 0, capacity: 4 });
    const buffer = memory.allocate(PAGE_SIZE);
    memory.u8.fill(0x33, buffer, buffer + PAGE_SIZE);
    const words = new Uint32Array(2);
    const id = mapping.map(buffer, 64, 1, words, 0);
    expect(words[1]).toBe(ALIAS / 2 ** 32);
    const seen = new Uint8Array(64);
    expect(space.read(words[0]!, words[1]!, seen, 0, 64)).toBe(true);
    expect(seen[0]).toBe(0x33);
    // The same page without the top bit is the realm's own, and at the alias of a private page there is nothing.
    expect(space.read(words[0]!, 0, seen, 0, 64)).toBe(false);
    expect(space.write(buffer, ALIAS / 2 ** 32, seen.fill(9), 0, 64)).toBe(false);
    expect(memory.u8[buffer]).toBe(0x33);
    expect(guest.faults.entries).toEqual([
      { address: BigInt(words[0]!), length: 64, access: 'read', cause: 'access-denied' },
      { address: BigInt(ALIAS) + BigInt(buffer), length: 64, access: 'write', cause: 'access-denied' },
    ]);
    mapping.unmap(id, 0);
    const page = memory.allocate(PAGE_SIZE, PAGE_SIZE);
    memory.u8.fill(0x44, page, page + PAGE_SIZE);
    expect(guest.conversion.setShared(page, PAGE_SIZE)).toBe(true);
    expect(memory.u8[page]).toBe(0);
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
