import { PAGE_SIZE, SharedPageAllocator } from '@virtio-platform/core/memory';
import { CoherentPool } from '@virtio-platform/platform-sev';
import { describe, expect, it } from 'vitest';
import { bootEncryptedGuest } from './encrypted-guest.ts';

const KIB = 1024;

/** A guest with a coherent pool that writes down what the host is asked to share, in kibibytes. */
function boot(coherentPool: number, refuses = (_call: number): boolean => false) {
  const shared: number[] = [];
  const guest = bootEncryptedGuest({ coherentPool }, (hardware) => ({
    setShared: (address, length) => !refuses(shared.push(length / KIB)) && hardware.setShared(address, length),
    setPrivate: (address, length) => hardware.setPrivate(address, length),
  }));
  return { ...guest, shared, mapping: guest.platform.openMapping('bounced', { queue: 0, capacity: 4 }) };
}

describe('a coherent pool', () => {
  it('is shared once, and rings come from it', () => {
    const guest = boot(64 * KIB);
    const rings = [5000, 100, 8 * PAGE_SIZE].map((bytes) => guest.mapping.allocateCoherent(bytes, 16));
    // The bounce pool, and the coherent one.
    expect(guest.shared).toEqual([256, 64]);
    const seen = new Uint8Array([7]);
    for (const { address } of rings) expect(guest.space.read(address, 0, seen, 0, 1)).toBe(true);
    expect(seen[0]).toBe(0);
    for (const ring of rings) ring.release();
    guest.mapping.allocateCoherent(64 * KIB, 16);
    expect(guest.shared).toEqual([256, 64]);
  });

  it('doubles when it is full, takes what is longer, and never shrinks', () => {
    const guest = boot(16 * KIB);
    const rings = [16, 8, 8, 1, 200].map((size) => guest.mapping.allocateCoherent(size * KIB, 16));
    expect(guest.shared).toEqual([256, 16, 16, 32, 200]);
    for (const ring of rings) ring.release();
    for (const size of [16, 16, 32, 200]) guest.mapping.allocateCoherent(size * KIB, 16);
    expect(guest.shared).toEqual([256, 16, 16, 32, 200]);
  });

  it('throws RangeError for what it did not give', () => {
    const { memory, conversion } = boot(16 * KIB);
    const pool = new CoherentPool(memory, new SharedPageAllocator(memory, conversion), 16 * KIB);
    const address = pool.allocate(100, 16);
    for (const wrong of [0, address + PAGE_SIZE, address + 16 * KIB])
      expect(() => pool.free(wrong)).toThrow(RangeError);
    pool.free(address);
    expect(() => pool.free(address)).toThrow(RangeError);
  });

  it('is given back as a whole', () => {
    const guest = boot(64 * KIB);
    const { address } = guest.mapping.allocateCoherent(5000, 16);
    guest.platform.dispose();
    expect(guest.memory.allocated).toBe(0);
    expect(guest.space.read(address, 0, new Uint8Array(1), 0, 1)).toBe(false);
  });

  it('gives memory that holds nothing of its last ring', () => {
    const guest = boot(16 * KIB);
    const ring = guest.mapping.allocateCoherent(16 * KIB, 16);
    guest.memory.u8.fill(0x55, ring.address, ring.address + ring.length);
    ring.release();
    const next = guest.mapping.allocateCoherent(16 * KIB, 16);
    expect(next.address).toBe(ring.address);
    expect(guest.memory.u8.subarray(next.address, next.address + next.length).every((byte) => byte === 0)).toBe(true);
  });

  it('loses what the host refuses to share, and is as before', () => {
    const guest = boot(16 * KIB, (call) => call === 3);
    const ring = guest.mapping.allocateCoherent(16 * KIB, 16);
    expect(() => guest.mapping.allocateCoherent(16 * KIB, 16)).toThrow(
      expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED', message: expect.stringContaining('refused to share') }),
    );
    ring.release();
    expect(guest.mapping.allocateCoherent(16 * KIB, 16).address).toBe(ring.address);
    guest.platform.dispose();
    expect(guest.memory.allocated).toBe(guest.platform.leakedBytes);
    expect(guest.platform.leakedBytes).toBe(16 * KIB);
  });
});
