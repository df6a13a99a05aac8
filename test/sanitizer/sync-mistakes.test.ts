import { DmaDirection, type DmaMapping } from '@virtio-platform/core/dma';
import { describe, expect, it } from 'vitest';
import { expectFinding, PLATFORMS, WrongGuest } from './wrong-guest.ts';

const HERE = 'sync-mistakes.test.ts';
const { ToDevice, FromDevice, Bidirectional } = DmaDirection;

describe.each(PLATFORMS)('a driver on %s', (platform) => {
  it('DD-14 that syncs what is not mapped any more is found', () => {
    const guest = new WrongGuest(platform);
    const mapping = guest.mapping();
    const id = mapping.map(guest.memory.allocate(64), 64, FromDevice, guest.words, 0);
    mapping.unmap(id, 0);
    expect(() => mapping.syncForCpu(id, 0, 64)).toThrow(RangeError);
    expect(expectFinding(guest, 'DMA-SYNC-UNKNOWN', { queue: 0 }, HERE).unmappedAt[0]).toContain(HERE);
  });

  it('DD-14 that syncs a region after it was released is found', () => {
    const guest = new WrongGuest(platform);
    const region = guest.mapping().premap(guest.memory.allocate(4096), 4096, FromDevice);
    region.release();
    region.syncForCpu(0, 64);
    expect(expectFinding(guest, 'DMA-SYNC-UNKNOWN', { queue: 0 }, HERE).unmappedAt[0]).toContain(HERE);
  });

  it('DD-15 that syncs bytes outside of its mapping is found', () => {
    const guest = new WrongGuest(platform);
    const mapping = guest.mapping();
    const id = mapping.map(guest.memory.allocate(4096), 64, FromDevice, guest.words, 0);
    // Some mappings refuse it at once, others do not look.
    expect(() => {
      mapping.syncForCpu(id, 32, 33);
      throw new RangeError('it took it');
    }).toThrow(RangeError);
    const finding = expectFinding(guest, 'DMA-SYNC-RANGE', { queue: 0 }, HERE);
    expect(finding.what).toBe('bytes 32..65 are synced in a mapping of 64');
  });

  it('DD-17 that syncs for itself what the device only reads is found', () => {
    const guest = new WrongGuest(platform);
    const mapping = guest.mapping();
    const id = mapping.map(guest.written(64), 64, ToDevice, guest.words, 0);
    mapping.syncForCpu(id, 0, 64);
    expectFinding(guest, 'DMA-SYNC-FOR-CPU', { queue: 0 }, HERE);
  });

  it('DD-18 that syncs for the device what it only writes is found', () => {
    const guest = new WrongGuest(platform);
    const region = guest.mapping().premap(guest.memory.allocate(4096), 4096, FromDevice);
    region.syncForDevice(0, 64);
    const finding = expectFinding(guest, 'DMA-SYNC-FOR-DEVICE', { queue: 0 }, HERE);
    expect(finding.buffer?.direction).toBe('from-device');
    expect(finding.syncedAt[0]).toContain(HERE);
  });
});

describe('what the contract makes impossible', () => {
  it('DD-16 a sync has no direction that could be a wrong one: bytes move as they were mapped', () => {
    const guest = new WrongGuest('sev');
    const mapping = guest.mapping();
    const address = guest.written(64);
    const id = mapping.map(address, 64, Bidirectional, guest.words, 0);
    const withDirection = mapping as unknown as Record<keyof DmaMapping, (...values: unknown[]) => void>;
    withDirection.syncForCpu(id, 0, 64, ToDevice);
    guest.memory.u8[address] = 0x55;
    withDirection.syncForDevice(id, 0, 64, FromDevice);
    const seen = new Uint8Array(1);
    guest.space.read(guest.words[0]!, guest.words[1]!, seen, 0, 1);
    expect(seen[0]).toBe(0x55);
    expect(guest.codes()).toEqual([]);
  });

  it('DD-19 a sync is of one mapping, and has no count: a segment left out is found where it is read', () => {
    const guest = new WrongGuest('sev');
    const queue = guest.queue();
    const region = queue.mapping.premap(guest.memory.allocate(4096), 4096, FromDevice);
    queue.list.addWritableRegion(region, 0, 64);
    queue.list.addWritableRegion(region, 1024, 64);
    const descriptor = queue.send();
    queue.pop();
    queue.write(0, 64);
    queue.write(1, 64);
    queue.complete(128);
    region.syncForCpu(0, 64);
    expect(guest.memory.u8[region.address + 63]).toBe(0xdd);
    expect(guest.codes()).toEqual([]);
    expect(guest.memory.u8[region.address + 1024]).toBe(0);
    const finding = expectFinding(guest, 'DMA-STALE-READ', { queue: 0, descriptor }, HERE);
    expect(finding.buffer).toMatchObject({ address: region.address + 1024, length: 64 });
  });
});
