import { DMA_NO_SPACE, DmaDirection } from '@virtio-platform/core/dma';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { MIB, PAGE, startGuest, type RemappedGuest } from '../remapped-guest.ts';

const { Bidirectional, FromDevice, ToDevice } = DmaDirection;
const BYTES = new Uint8Array(16).fill(0x5a);

/** The byte that the device reads at an address, or the cause of the fault. */
function deviceReads({ space, faults }: RemappedGuest, low: number): number | string {
  const target = new Uint8Array(1);
  return space.read(low, 0, target, 0, 1) ? target[0]! : faults.entries.at(-1)!.cause;
}

function deviceWrites({ space, faults }: RemappedGuest, low: number): string {
  return space.write(low, 0, BYTES, 0, 1) ? 'done' : faults.entries.at(-1)!.cause;
}

describe('the mapping of a translated domain', () => {
  it('keeps a buffer’s offset in its page, and maps the whole page', () => {
    const guest = startGuest();
    const { memory, words } = guest;
    const mapping = guest.openMapping();
    memory.u8[0x10_5fff] = 7;
    mapping.map(0x10_5123, 0x100, ToDevice, words, 0);
    expect([words[0]! % PAGE, words[1]]).toEqual([0x123, 0]);
    expect(deviceReads(guest, words[0]! + 0x123)).toBe(0);
    expect(deviceReads(guest, words[0]! - 0x123 + 0xfff)).toBe(7);
    expect(deviceReads(guest, words[0]! - 0x123 + PAGE)).toBe('unmapped');
  });

  it.each([
    [ToDevice, 0, 'write-not-permitted'],
    [FromDevice, 'read-not-permitted', 'done'],
    [Bidirectional, 0, 'done'],
  ])('gives a device exactly what direction %i says', (direction, reads, writes) => {
    const guest = startGuest();
    guest.openMapping().map(0x10_6000, 100, direction, guest.words, 0);
    expect([deviceReads(guest, guest.words[0]!), deviceWrites(guest, guest.words[0]!)]).toEqual([reads, writes]);
  });

  it('maps every page of a buffer', () => {
    const guest = startGuest();
    const { memory, words } = guest;
    guest.openMapping().map(0x10_5ff8, 16, ToDevice, words, 0);
    memory.u8[0x10_6007] = 9;
    expect(deviceReads(guest, words[0]! + 15)).toBe(9);
  });

  it('takes the access to exactly the unmapped pages away', () => {
    const guest = startGuest();
    const { words } = guest;
    const [first, second] = [guest.openMapping(), guest.openMapping()];
    const id = first.map(0x10_5000, 16, Bidirectional, words, 0);
    const address = words[0]!;
    second.map(0x10_5000, 16, Bidirectional, words, 0);
    const other = words[0]!;
    expect([deviceWrites(guest, address), deviceWrites(guest, other)]).toEqual(['done', 'done']);
    first.unmap(id, 0);
    first.dispose();
    expect([deviceWrites(guest, address), deviceWrites(guest, other)]).toEqual(['unmapped', 'done']);
  });

  it('maps a large region with large pages', () => {
    const guest = startGuest({}, 32 * MIB);
    const mapping = guest.openMapping();
    const before = guest.memory.allocated;
    const region = mapping.premap(2 * MIB, 8 * MIB, Bidirectional);
    region.writeDeviceAddress(5 * MIB + 3, guest.words, 0);
    expect(guest.words[0]! % (2 * MIB)).toBe(MIB + 3);
    expect(mapping.resolve(guest.words[0]!, 0)).toBe(7 * MIB + 3);
    guest.memory.u8[7 * MIB + 3] = 5;
    expect(deviceReads(guest, guest.words[0]!)).toBe(5);
    // No table of the lowest level but the one that the probe may have left.
    expect(guest.memory.allocated - before).toBeLessThanOrEqual(2 * PAGE_SIZE);
    region.release();
    expect(deviceReads(guest, guest.words[0]!)).toBe('unmapped');
  });

  it('invalidates after each map in caching mode', () => {
    const guest = startGuest({ aperture: '16KiB', unit: { cachingMode: true } });
    const mapping = guest.openMapping();
    const top = 0x7fff_f000;
    // The device looks first, and the unit remembers that there is nothing.
    expect(deviceReads(guest, top)).toBe('unmapped');
    const { length } = guest.unit.commands;
    mapping.map(0x10_5000, 16, ToDevice, guest.words, 0);
    expect([guest.words[0], guest.unit.commands.length]).toEqual([top, length + 1]);
    expect(deviceReads(guest, top)).toBe(0);
  });

  it('returns DMA_NO_SPACE when the unit does not confirm the new entries', () => {
    const guest = startGuest({ aperture: '16KiB', unit: { cachingMode: true } });
    const mapping = guest.openMapping();
    guest.unit.invalidation = 'refused';
    expect(mapping.map(0x10_5000, 16, ToDevice, guest.words, 0)).toBe(DMA_NO_SPACE);
    expect([mapping.statistics.live, mapping.resolve(0x7fff_f000, 0)]).toEqual([0, -1]);
  });
});

describe('resolve of that mapping', () => {
  it('resolves by the tables at this moment', () => {
    const guest = startGuest();
    const mapping = guest.openMapping();
    const id = mapping.map(0x10_5123, 16, ToDevice, guest.words, 0);
    const [low, high] = [guest.words[0]!, guest.words[1]!];
    expect([mapping.resolve(low, high), mapping.resolve(low, 1), mapping.resolve(low + PAGE, high)]).toEqual([
      0x10_5123, -1, -1,
    ]);
    mapping.unmap(id, 0);
    expect(mapping.resolve(low, high)).toBe(-1);
  });
});

describe.each(['refused', 'stuck'] as const)('an invalidation that is %s', (mood) => {
  it('is tried three times, and then the pages stay unused', () => {
    const guest = startGuest({ aperture: '16KiB' });
    const mapping = guest.openMapping();
    const id = mapping.map(0x10_5000, 16, Bidirectional, guest.words, 0);
    const address = guest.words[0]!;
    expect(deviceWrites(guest, address)).toBe('done');
    guest.unit.commands.length = 0;
    guest.unit.invalidation = mood;
    mapping.unmap(id, 0);
    guest.unit.invalidation = 'done';
    // Nothing else is mapped, so then everything was dropped, and that was confirmed.
    expect(guest.unit.commands.map((command) => (command >>> 28) & 3)).toEqual([3, 3, 3, 1]);
    expect([mapping.statistics.live, guest.platform.keptBytes]).toEqual([0, 0]);
  });

  it('keeps the pages while the queue is in use, and reclaims them afterwards', () => {
    const guest = startGuest({ aperture: '16KiB' });
    const { memory, words, unit, platform } = guest;
    const mapping = guest.openMapping();
    const ring = mapping.allocateCoherent(PAGE, PAGE);
    const data = mapping.allocateCoherent(PAGE, PAGE);
    data.writeDeviceAddress(0, words, 0);
    const address = words[0]!;
    expect(deviceWrites(guest, address)).toBe('done');
    unit.invalidation = mood;
    data.release();
    // The unit still caches the old translation, so the memory stays unused although the tables are right.
    expect([mapping.resolve(address, 0), deviceWrites(guest, address)]).toEqual([-1, 'done']);
    const { live, leaked } = mapping.statistics;
    expect([live, leaked, platform.keptBytes, platform.leaks.bytes]).toEqual([1, 1, PAGE, PAGE]);
    expect(memory.allocationAt(data.address)).toBeDefined();
    const addresses: number[] = [];
    while (mapping.map(0x10_5000, 16, ToDevice, words, 0) >= 0) addresses.push(words[0]!);
    expect(addresses).toHaveLength(2);
    expect(addresses).not.toContain(address);
    unit.invalidation = 'done';
    ring.release();
    mapping.dispose();
    expect([mapping.statistics.live, platform.keptBytes, memory.allocationAt(data.address)]).toEqual([0, 0, undefined]);
    expect([mapping.statistics.leaked, platform.leaks.count]).toEqual([0, 0]);
    expect(deviceWrites(guest, address)).toBe('unmapped');
  });

  it('leads the device to the memory of the last mapping, with onLostInvalidation: reuse', () => {
    const guest = startGuest({ aperture: '8KiB', onLostInvalidation: 'reuse' });
    const { memory, words, unit } = guest;
    const mapping = guest.openMapping();
    const id = mapping.map(0x10_5000, 16, Bidirectional, words, 0);
    const address = words[0]!;
    expect(deviceWrites(guest, address)).toBe('done');
    unit.invalidation = mood;
    mapping.unmap(id, 0);
    expect(mapping.statistics.live).toBe(0);
    do mapping.unmap(mapping.map(0x10_9000, 16, Bidirectional, words, 0), 0);
    while (words[0] !== address);
    const next = mapping.map(0x10_9000, 16, Bidirectional, words, 0);
    const reused = mapping.map(0x10_9000, 16, Bidirectional, words, 0);
    memory.u8[0x10_5000] = memory.u8[0x10_9000] = 0;
    expect(deviceWrites(guest, address)).toBe('done');
    expect([memory.u8[0x10_5000], memory.u8[0x10_9000]]).toEqual([0x5a, 0]);
    // The address may lead to either page until the unit invalidates it.
    expect(mapping.resolve(address, 0)).toBe(-1);
    unit.invalidation = 'done';
    for (const live of [next, reused]) mapping.unmap(live, 0);
    while (mapping.map(0x10_9000, 16, Bidirectional, words, 0) >= 0 && words[0] !== address);
    expect(mapping.resolve(address, 0)).toBe(0x10_9000);
    expect([deviceWrites(guest, address), memory.u8[0x10_9000]]).toEqual(['done', 0x5a]);
  });
});
