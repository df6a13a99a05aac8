import { DirectDmaMapping, DmaDirection } from '@virtio-platform/core/dma';
import { describe, expect, it } from 'vitest';
import { mapWritable, expectFinding, PLATFORMS, WrongGuest } from './wrong-guest.ts';

const HERE = 'unmap-mistakes.test.ts';
const { ToDevice, FromDevice } = DmaDirection;

describe.each(PLATFORMS)('a driver on %s', (platform) => {
  it('DD-03 that keeps a buffer when it goes is found', () => {
    const guest = new WrongGuest(platform);
    const mapping = guest.mapping();
    const address = guest.memory.allocate(64);
    mapping.map(address, 64, FromDevice, guest.words, 0);
    mapping.dispose();
    const finding = expectFinding(guest, 'DMA-LEAK', { queue: 0 }, HERE);
    expect(finding.buffer).toEqual({ address, length: 64, direction: 'from-device' });
    expect(finding.mappedAt[0]).toContain(HERE);
    expect(mapping.statistics.live).toBe(0);
  });

  it('DD-03 that keeps a region when it goes is found', () => {
    const guest = new WrongGuest(platform);
    const mapping = guest.mapping();
    mapping.premap(guest.memory.allocate(4096), 4096, FromDevice);
    mapping.dispose();
    expect(expectFinding(guest, 'DMA-LEAK', { queue: 0 }, HERE).what).toContain('region');
  });

  it('DD-04 that unmaps what is no id is found', () => {
    const guest = new WrongGuest(platform);
    const mapping = guest.mapping();
    expect(() => mapping.unmap(-1, 0)).toThrow(RangeError);
    expectFinding(guest, 'DMA-UNMAP-INVALID', { queue: 0, buffer: undefined }, HERE);
  });

  it('DD-05 that unmaps twice is found, with where it did before', () => {
    const guest = new WrongGuest(platform);
    const mapping = guest.mapping();
    const id = mapping.map(guest.memory.allocate(64), 64, FromDevice, guest.words, 0);
    mapping.unmap(id, 0);
    expect(() => mapping.unmap(id, 0)).toThrow(RangeError);
    const finding = expectFinding(guest, 'DMA-UNMAP-UNKNOWN', { queue: 0 }, HERE);
    expect(finding.what).toBe(`${id} is unmapped, which was unmapped already`);
    expect(finding.unmappedAt[0]).toContain(HERE);
    expect(finding.unmappedAt[0]).not.toBe(finding.misusedAt[0]);
  });

  it('DD-05 that unmaps what another queue mapped is found, and takes nothing from it', () => {
    const guest = new WrongGuest(platform);
    const mapping = guest.mapping(0);
    const other = guest.mapping(1);
    mapping.map(guest.memory.allocate(64), 64, FromDevice, guest.words, 0);
    const id = other.map(guest.memory.allocate(64), 64, FromDevice, guest.words, 0);
    expect(() => mapping.unmap(id, 0)).toThrow(RangeError);
    expect(expectFinding(guest, 'DMA-UNMAP-UNKNOWN', { queue: 0 }, HERE).what).toContain('mapped by queue 1 of block');
    expect([mapping.statistics.live, other.statistics.live]).toEqual([1, 1]);
  });

  it('DD-05 that unmaps what was never mapped is found', () => {
    const guest = new WrongGuest(platform);
    const mapping = guest.mapping();
    expect(() => mapping.unmap(7777, 0)).toThrow(RangeError);
    expect(expectFinding(guest, 'DMA-UNMAP-UNKNOWN', { queue: 0 }, HERE).what).toContain('never mapped');
  });

  it('DD-05 that releases a region twice is found', () => {
    const guest = new WrongGuest(platform);
    const region = guest.mapping().premap(guest.memory.allocate(4096), 4096, FromDevice);
    region.release();
    expect(() => region.release()).toThrow(RangeError);
    const finding = expectFinding(guest, 'DMA-UNMAP-UNKNOWN', { queue: 0 }, HERE);
    expect(finding.unmappedAt[0]).toContain(HERE);
  });

  it('DD-06 that unmaps more bytes than it mapped is found', () => {
    const guest = new WrongGuest(platform);
    const mapping = guest.mapping();
    const id = mapping.map(guest.memory.allocate(4096), 64, FromDevice, guest.words, 0);
    mapping.unmap(id, 65);
    const finding = expectFinding(guest, 'DMA-UNMAP-LENGTH', { queue: 0 }, HERE);
    expect(finding.what).toBe('65 bytes are said to be written to a mapping of 64');
  });

  it('DD-08 that frees another address than it allocated is found', () => {
    const guest = new WrongGuest(platform);
    const address = guest.memory.allocate(4096);
    guest.mapping().premap(address, 4096, FromDevice);
    expect(() => guest.memory.free(address + 64)).toThrow(RangeError);
    const finding = expectFinding(guest, 'DMA-FREE-ADDRESS', { queue: 0 }, HERE);
    expect(finding.what).toContain(`0x${(address + 64).toString(16)} is freed`);
    expect(finding.what).toContain(`allocated at 0x${address.toString(16)}`);
  });

  it('DD-09 that unmaps only some of the segments of a request is found', () => {
    const guest = new WrongGuest(platform);
    const queue = guest.queue();
    const { mapping, list } = queue;
    const ids: number[] = [];
    for (let i = 0; i < 3; i++) {
      const address = guest.memory.allocate(64);
      ids.push(mapping.map(address, 64, FromDevice, guest.words, 0));
      list.addWritable(address, 64);
      list.words.set(guest.words, 2 * i);
      list.premapped[i] = 1;
    }
    const descriptor = queue.send();
    queue.pop();
    for (let i = 0; i < 3; i++) queue.write(i, 64);
    queue.complete(192);
    mapping.unmap(ids[0]!, 64);
    mapping.unmap(ids[1]!, 64);
    queue.queue.dispose();
    mapping.dispose();
    const finding = expectFinding(guest, 'DMA-UNMAP-COUNT', { queue: 0, descriptor }, HERE);
    expect(finding.what).toContain('2 were unmapped, and one was not');
  });

  it('DD-10 that says the device wrote what it only reads is found', () => {
    const guest = new WrongGuest(platform);
    const mapping = guest.mapping();
    const id = mapping.map(guest.written(64), 64, ToDevice, guest.words, 0);
    mapping.unmap(id, 64);
    const finding = expectFinding(guest, 'DMA-UNMAP-DIRECTION', { queue: 0 }, HERE);
    expect(finding.buffer?.direction).toBe('to-device');
  });

  it('DS-h that takes over less than the device wrote is found', () => {
    const guest = new WrongGuest(platform);
    const mapping = guest.mapping();
    const id = mapping.map(guest.memory.allocate(64), 64, FromDevice, guest.words, 0);
    guest.space.write(guest.words[0]!, guest.words[1]!, new Uint8Array(48).fill(7), 0, 48);
    mapping.unmap(id, 0);
    const finding = expectFinding(guest, 'DMA-UNMAP-UNSYNCED', { queue: 0 }, HERE);
    expect(finding.what).toBe('the device wrote 48 bytes, and 0 are taken over by unmap');
  });

  it('DS-h that synced before is right: nothing is lost', () => {
    const guest = new WrongGuest(platform);
    const { mapping, address, id } = mapWritable(guest, 64);
    guest.space.write(guest.words[0]!, guest.words[1]!, new Uint8Array(48).fill(7), 0, 48);
    mapping.syncForCpu(id, 0, 48);
    expect(guest.memory.u8[address + 47]).toBe(7);
    mapping.unmap(id, 0);
    expect(guest.codes()).toEqual([]);
  });
});

describe('a driver that gives memory back in another way than it got it', () => {
  it('DD-07 is found: coherent memory that is freed, and not released', () => {
    const guest = new WrongGuest('legacy');
    const region = guest.mapping().allocateCoherent(4096, 64);
    guest.memory.free(region.address);
    const finding = expectFinding(guest, 'DMA-UNMAP-FUNCTION', { queue: 0 }, HERE);
    expect(finding.buffer).toEqual({ address: region.address, length: 4096, direction: 'bidirectional' });
    expect(finding.mappedAt[0]).toContain(HERE);
  });
});

describe('a leak under DirectDmaMapping without the sanitizer', () => {
  it('is only a number', () => {
    const guest = new WrongGuest('legacy');
    const mapping = new DirectDmaMapping(guest.raw, { path: 'physical', capacity: 4 });
    mapping.map(guest.raw.allocate(64), 64, FromDevice, guest.words, 0);
    expect(mapping.statistics.live).toBe(1);
    mapping.dispose();
    expect(guest.codes()).toEqual([]);
  });
});
