import { FaultLog, PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import { BorrowedRing } from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';

describe('BorrowedRing', () => {
  it('V30 uses the addresses that were checked, not what their owner makes of them later', () => {
    const memory = new GuestMemory(new ArrayBuffer(0x4000));
    const space = PHYSICAL_ADDRESS_SPACE.open(memory, new FaultLog(), undefined);
    const words = Uint32Array.of(0x1000, 0, 0x2000, 0, 0x3000, 0);
    const ring = new BorrowedRing(space, { size: 4, words }, 'read', 14, 38);
    words.fill(0xffff_ffff);
    expect(ring.reach()).toBe('moved');
    expect([ring.descriptor, ring.driver, ring.device]).toEqual([0x1000, 0x2000, 0x3000]);
    expect(ring.reach()).toBe('same');
  });

  it('says so when a part is not reachable, each time', () => {
    const faults = new FaultLog();
    const space = PHYSICAL_ADDRESS_SPACE.open(new GuestMemory(new ArrayBuffer(0x4000)), faults, undefined);
    const words = Uint32Array.of(0x1000, 0, 0x2000, 0, 0x3ff0, 0);
    const ring = new BorrowedRing(space, { size: 4, words }, 'read', 14, 38);
    expect([ring.reach(), ring.reach()]).toEqual(['unreachable', 'unreachable']);
    expect(faults.count).toBe(2);
  });
});
