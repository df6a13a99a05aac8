import { ringOptions } from '@virtio-platform/conformance/testing';
import { resetDevice, resetQueue, type Transport } from '@virtio-platform/core/device';
import { DmaDirection } from '@virtio-platform/core/dma';
import { FeatureSet, VIRTIO_F_RING_RESET } from '@virtio-platform/core/features';
import { restoreVirtqueue, UsedBatch } from '@virtio-platform/core/queue';
import { FindingLog } from '@virtio-platform/dma-sanitizer';
import { describe, expect, it } from 'vitest';
import { RegisterTransport } from '@virtio-platform/conformance/testing';
import { expectFinding, PLATFORMS, WrongGuest } from './wrong-guest.ts';

const HERE = 'ring-mistakes.test.ts';
const { ToDevice, FromDevice } = DmaDirection;

function transportOf(guest: WrongGuest): Transport {
  const offered = FeatureSet.of(VIRTIO_F_RING_RESET);
  return guest.sanitizer.transport(new RegisterTransport({ offered }), 'block');
}

describe.each(PLATFORMS)('a driver on %s', (platform) => {
  it.each(['split', 'packed'] as const)('DS-f that unmaps before a %s queue returned the buffer is found', (layout) => {
    const guest = new WrongGuest(platform);
    const queue = guest.queue(0, layout);
    const address = guest.memory.allocate(64);
    const id = queue.mapping.map(address, 64, FromDevice, guest.words, 0);
    queue.list.addWritable(address, 64);
    queue.list.words.set(guest.words);
    queue.list.premapped[0] = 1;
    const descriptor = queue.send();
    queue.mapping.unmap(id, 0);
    const finding = expectFinding(guest, 'DMA-UNMAP-IN-FLIGHT', { queue: 0, descriptor }, HERE);
    expect(finding.buffer).toEqual({ address, length: 64, direction: 'from-device' });
    expect(finding.mappedAt[0]).toContain(HERE);
  });

  it('DS-f that releases a region which a request uses is found', () => {
    const guest = new WrongGuest(platform);
    const queue = guest.queue();
    const region = queue.mapping.premap(guest.memory.allocate(4096), 4096, FromDevice);
    queue.list.addWritableRegion(region, 128, 64);
    const descriptor = queue.send();
    region.release();
    const finding = expectFinding(guest, 'DMA-UNMAP-IN-FLIGHT', { queue: 0, descriptor }, HERE);
    expect(finding.buffer?.address).toBe(region.address + 128);
  });

  it('DS-f that describes what it released is found', () => {
    const guest = new WrongGuest(platform);
    const queue = guest.queue();
    const region = queue.mapping.premap(guest.memory.allocate(4096), 4096, FromDevice);
    queue.list.addWritableRegion(region, 128, 64);
    region.release();
    const descriptor = queue.queue.add(queue.list);
    const finding = expectFinding(guest, 'DMA-DESCRIBED-UNMAPPED', { queue: 0, descriptor }, HERE);
    expect(finding.unmappedAt[0]).toContain(HERE);
  });

  it('DS-f that describes a buffer before it maps it is found', () => {
    const guest = new WrongGuest(platform);
    const queue = guest.queue();
    queue.list.addWritable(guest.memory.allocate(64), 64);
    queue.list.words.set([0x4000, 0x77]);
    queue.list.premapped[0] = 1;
    const descriptor = queue.queue.add(queue.list);
    expectFinding(guest, 'DMA-DESCRIBED-UNMAPPED', { queue: 0, descriptor, deviceAddress: 0x77_0000_4000n }, HERE);
  });

  it('DS-f that frees memory which is mapped is found', () => {
    const guest = new WrongGuest(platform);
    const address = guest.memory.allocate(4096);
    guest.mapping().map(address + 1024, 64, FromDevice, guest.words, 0);
    guest.memory.free(address);
    const finding = expectFinding(guest, 'DMA-FREED-WHILE-MAPPED', { queue: 0 }, HERE);
    expect(finding.buffer).toMatchObject({ address: address + 1024, length: 64 });
  });

  it('DS-f that gives the ring back while the device has it is found', () => {
    const guest = new WrongGuest(platform);
    const transport = transportOf(guest);
    const { queue } = guest.queue();
    transport.enableQueue(queue.index, queue.addresses);
    queue.dispose();
    const finding = expectFinding(guest, 'DMA-RING-IN-USE', { queue: 0 }, HERE);
    expect(finding.buffer).toMatchObject({ address: queue.memory.ring.address, direction: 'bidirectional' });
  });

  it('DS-f that gives memory back of which the device was told nothing is right', () => {
    const guest = new WrongGuest(platform);
    const transport = transportOf(guest);
    const { queue } = guest.queue();
    transport.enableQueue(queue.index, queue.addresses);
    guest.mapping().allocateCoherent(4096, 16).release();
    expect(guest.codes()).toEqual([]);
    const told = guest.mapping().allocateCoherent(4096, 16);
    told.writeDeviceAddress(0, guest.words, 0);
    told.release();
    expectFinding(guest, 'DMA-RING-IN-USE', { queue: 0 }, HERE);
  });

  it('DS-f that resets the queue while the device has it is found', () => {
    const guest = new WrongGuest(platform);
    const transport = transportOf(guest);
    const { queue } = guest.queue();
    transport.enableQueue(queue.index, queue.addresses);
    queue.reset();
    expectFinding(guest, 'DMA-RING-IN-USE', { queue: 0 }, HERE);
  });

  it('DS-f that waits for a reset, of the device or of the queue, is right', () => {
    const guest = new WrongGuest(platform);
    const transport = transportOf(guest);
    const { queue } = guest.queue();
    transport.enableQueue(queue.index, queue.addresses);
    resetQueue(transport, queue.index);
    queue.reset();
    queue.resize(8);
    transport.enableQueue(queue.index, queue.addresses);
    resetDevice(transport);
    queue.dispose();
    expect(guest.codes()).toEqual([]);
  });

  it('DS-l that keeps a mapping when a reset took its buffer back is found, by descriptor', () => {
    const guest = new WrongGuest(platform);
    const queue = guest.queue();
    const address = guest.memory.allocate(64);
    queue.mapping.map(address, 64, FromDevice, guest.words, 0);
    queue.list.addWritable(address, 64);
    queue.list.words.set(guest.words);
    queue.list.premapped[0] = 1;
    const descriptor = queue.send();
    expect(queue.queue.reset()).toEqual([descriptor]);
    expect(guest.codes()).toEqual([]);
    queue.list.addReadable(guest.written(16), 16);
    queue.queue.add(queue.list);
    const finding = expectFinding(guest, 'DMA-RESET-LEAK', { queue: 0, descriptor }, HERE);
    expect(finding.buffer).toEqual({ address, length: 64, direction: 'from-device' });
    queue.queue.dispose();
    queue.mapping.dispose();
    expect(guest.codes()).toEqual(['DMA-RESET-LEAK']);
  });

  it('DS-l that forgets a buffer is found once it lived too long', () => {
    let now = 0;
    const guest = new WrongGuest(platform, { timeToLiveMs: 1000, now: () => now });
    const mapping = guest.mapping();
    const address = guest.memory.allocate(64);
    mapping.map(address, 64, FromDevice, guest.words, 0);
    const other = guest.written(64);
    for (; now < 3000; now += 100) mapping.unmap(mapping.map(other, 64, ToDevice, guest.words, 0), 0);
    const finding = expectFinding(guest, 'DMA-TIME-TO-LIVE', { queue: 0 }, HERE);
    expect(finding.what).toContain('longer than 1000');
    expect(finding.buffer?.address).toBe(address);
  });

  it('DS-l that leaves a buffer in a queue is right, however long the device takes', () => {
    let now = 0;
    const guest = new WrongGuest(platform, { timeToLiveMs: 1000, now: () => now });
    const queue = guest.queue();
    queue.list.addWritable(guest.memory.allocate(64), 64);
    queue.send();
    for (; now < 3000; now += 100) queue.queue.takeUsed(new UsedBatch(1));
    expect(guest.codes()).toEqual([]);
  });

  it('DS-n that adds as writable what the device may only read is found', () => {
    const guest = new WrongGuest(platform);
    const { list, queue, mapping } = guest.queue();
    const region = mapping.premap(guest.written(4096), 4096, ToDevice);
    list.addWritableRegion(region, 0, 64);
    const descriptor = queue.add(list);
    const finding = expectFinding(guest, 'DMA-DESCRIPTOR-DIRECTION', { queue: 0, descriptor }, HERE);
    expect(finding.what).toContain('device-writable, and its buffer is mapped for the device to read only');
  });

  it('DS-n that adds as readable what the device may only write is found', () => {
    const guest = new WrongGuest(platform);
    const { list, queue, mapping } = guest.queue();
    const address = guest.memory.allocate(4096);
    const region = mapping.premap(address, 4096, FromDevice);
    list.addReadableRegion(region, 0, 64);
    const descriptor = queue.add(list);
    const [finding] = guest.sanitizer.findings.entries;
    expect(finding).toMatchObject({ code: 'DMA-DESCRIPTOR-DIRECTION', check: 'DS-n', queue: 0, descriptor });
  });

  it('DS-n that describes more than is mapped is found', () => {
    const guest = new WrongGuest(platform);
    const { list, queue, mapping } = guest.queue();
    const region = mapping.premap(guest.memory.allocate(8192), 4096, FromDevice);
    list.addWritableRegion(region, 4000, 96);
    list.length[0] = 200;
    const descriptor = queue.add(list);
    const finding = expectFinding(guest, 'DMA-DESCRIPTOR-LENGTH', { queue: 0, descriptor }, HERE);
    expect(finding.what).toBe('a descriptor has 200 bytes, and its mapping ends after 96');
  });
});

describe('the findings', () => {
  it('DS-m are all there, each with where it was mapped, synced, unmapped and misused; the first 256 in full', () => {
    const guest = new WrongGuest('pseries');
    const mapping = guest.mapping();
    for (let i = 0; i < 300; i++) {
      const id = mapping.map(guest.memory.allocate(64), 64, FromDevice, guest.words, 0);
      mapping.syncForCpu(id, 0, 64);
      mapping.unmap(id, 0);
      expect(() => mapping.unmap(id, 0)).toThrow(RangeError);
    }
    const { count, entries } = guest.sanitizer.findings;
    expect([count, entries.length]).toEqual([300, FindingLog.LIMIT]);
    for (const { code, mappedAt, syncedAt, unmappedAt, misusedAt } of entries) {
      expect(code).toBe('DMA-UNMAP-UNKNOWN');
      const places = [mappedAt, syncedAt, unmappedAt, misusedAt].map((frames) => frames[0]!);
      for (const place of places) expect(place).toContain(HERE);
      expect(new Set(places).size).toBe(4);
    }
  });

  it('are of a queue that was saved and goes on, too', () => {
    const guest = new WrongGuest('pseries');
    const saved = guest.queue();
    const region = saved.mapping.premap(guest.memory.allocate(4096), 4096, FromDevice);
    saved.list.addWritableRegion(region, 0, 64);
    const descriptor = saved.send();
    saved.pop();
    const { mapping } = saved;
    const restored = restoreVirtqueue(
      saved.queue.save(),
      guest.raw,
      mapping,
      saved.queue.memory,
      ringOptions({ eventIdx: true }),
    );
    const queue = guest.sanitizer.queue(restored, mapping, 'block');
    region.release();
    expectFinding(guest, 'DMA-UNMAP-IN-FLIGHT', { queue: 0, descriptor }, HERE);
    expect(queue.outstanding).toBe(1);
  });
});
