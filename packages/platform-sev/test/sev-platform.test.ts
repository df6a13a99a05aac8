import { disposeInUse, ringOptions } from '@virtio-platform/conformance/testing';
import { DMA_NO_SPACE, DMA_TOO_LARGE, DmaDirection, type DmaMapping } from '@virtio-platform/core/dma';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { ScatterList, SplitVirtqueue, UsedBatch } from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import type { MemoryConversion } from '@virtio-platform/platform-sev';
import { EchoDevice } from '@virtio-platform/conformance';
import { bootEncryptedGuest, type EncryptedGuest } from './encrypted-guest.ts';

const REQUEST = { queue: 0, capacity: 64 };

interface Rig extends EncryptedGuest {
  readonly mapping: DmaMapping;
  readonly queue: SplitVirtqueue;
  readonly device: EchoDevice;
}

/** An encrypted guest whose queue of 16 talks to an echo device. */
function bootRig(): Rig {
  const guest = bootEncryptedGuest();
  const mapping = guest.platform.openMapping('bounced', REQUEST);
  const queue = new SplitVirtqueue(guest.memory, mapping, ringOptions({ size: 16, indirect: 4 }));
  return { ...guest, mapping, queue, device: new EchoDevice(guest.space, queue.addresses) };
}

/** A host that refuses conversions while `refuses` says so, in front of the real hardware. */
function refusingHost(
  refuses: (call: 'setShared' | 'setPrivate') => boolean,
): (hardware: MemoryConversion) => MemoryConversion {
  return (hardware) => ({
    setShared: (address, length) => !refuses('setShared') && hardware.setShared(address, length),
    setPrivate: (address, length) => !refuses('setPrivate') && hardware.setPrivate(address, length),
  });
}

describe('SevPlatform', () => {
  it('carries requests through the pool while the buffers stay private', () => {
    const { memory, queue, device, mapping, space, faults } = bootRig();
    const out = memory.allocate(3000);
    const into = memory.allocate(3000);
    const list = new ScatterList(2);
    const batch = new UsedBatch(16);
    for (let round = 0; round < 40; round++) {
      memory.u8.fill(round + 1, out, out + 3000);
      list.clear();
      list.addReadable(out, 3000);
      list.addWritable(into, 3000);
      expect(queue.add(list)).toBeGreaterThanOrEqual(0);
      queue.publish();
      expect(device.serve()).toBe(1);
      expect(queue.takeUsed(batch)).toBe(1);
      expect(memory.u8.subarray(into, into + 3000).every((byte) => byte === round + 1)).toBe(true);
    }
    expect(mapping.path).toBe('bounced');
    // Both buffers are copied in on map, and the written one back on unmap.
    expect(mapping.statistics.bytesBounced).toBe(40 * 3 * 3000);
    expect(faults.count).toBe(0);
    // The device was never given the buffer itself.
    space.read(out, 0, new Uint8Array(16), 0, 16);
    expect(faults.entries[0]?.cause).toBe('private-page');
  });

  it('carries requests through premapped regions, copying only what is synced', () => {
    const { memory, queue, device, mapping, faults } = bootRig();
    const out = mapping.premap(memory.allocate(8192), 8192, DmaDirection.ToDevice);
    const into = mapping.premap(memory.allocate(8192), 8192, DmaDirection.FromDevice);
    const before = mapping.statistics.bytesBounced;
    const list = new ScatterList(2);
    const batch = new UsedBatch(16);
    for (let round = 0; round < 20; round++) {
      memory.u8.fill(round + 1, out.address + 100, out.address + 600);
      out.syncForDevice(100, 500);
      list.clear();
      list.addReadableRegion(out, 100, 500);
      list.addWritableRegion(into, 1000, 500);
      queue.add(list);
      queue.publish();
      device.serve();
      queue.takeUsed(batch);
      into.syncForCpu(1000, batch.written[0]!);
      expect(memory.u8.subarray(into.address + 1000, into.address + 1500).every((byte) => byte === round + 1)).toBe(
        true,
      );
    }
    expect(mapping.statistics.bytesBounced - before).toBe(20 * 2 * 500);
    expect(faults.count).toBe(0);
  });

  it('shows the device physical addresses of shared pages', () => {
    const { memory, mapping, space, faults } = bootRig();
    const words = new Uint32Array(2);
    const buffer = memory.allocate(100);
    mapping.map(buffer, 100, DmaDirection.Bidirectional, words, 0);
    expect(words[0]).not.toBe(buffer);
    expect(space.borrow(words[0]!, words[1]!, 100, 'write')).toBe(words[0]);
    expect(faults.count).toBe(0);
  });

  it('says no space while the pool is full, leaves the ring as it was, and goes on after a completion', () => {
    const { memory, queue, device, mapping } = bootRig();
    const buffer = memory.allocate(128 * 1024);
    const list = new ScatterList(1);
    const batch = new UsedBatch(16);
    const add = (): number => {
      list.clear();
      list.addReadable(buffer, 128 * 1024);
      return queue.add(list);
    };
    expect([add(), add()].every((id) => id >= 0)).toBe(true);
    const before = mapping.statistics.live;
    expect(add()).toBe(DMA_NO_SPACE);
    expect(queue.outstanding).toBe(2);
    expect(mapping.statistics.live).toBe(before);
    queue.publish();
    expect(device.serve()).toBe(2);
    expect(queue.takeUsed(batch)).toBe(2);
    expect(add()).toBeGreaterThanOrEqual(0);
  });

  it('takes at most 256KiB in one mapping', () => {
    const { memory, mapping } = bootRig();
    const words = new Uint32Array(2);
    const buffer = memory.allocate(256 * 1024 + 1);
    expect(mapping.map(buffer, 256 * 1024 + 1, DmaDirection.ToDevice, words, 0)).toBe(DMA_TOO_LARGE);
    expect(mapping.map(buffer, 256 * 1024, DmaDirection.ToDevice, words, 0)).toBeGreaterThanOrEqual(0);
  });

  it('never gives a caller bytes of the last owner of a slot when the device writes fewer than it says', () => {
    const { memory, mapping } = bootRig();
    const words = new Uint32Array(2);
    const secret = memory.allocate(256 * 1024);
    memory.u8.fill(0xee, secret, secret + 256 * 1024);
    mapping.unmap(mapping.map(secret, 256 * 1024, DmaDirection.ToDevice, words, 0), 0);
    const into = memory.allocate(2048);
    const id = mapping.map(into, 2048, DmaDirection.FromDevice, words, 0);
    // The device wrote nothing and claims everything.
    mapping.unmap(id, 2048);
    expect(memory.u8.subarray(into, into + 2048).includes(0xee)).toBe(false);
  });

  it('brings back only what the device wrote', () => {
    const { memory, queue, device } = bootRig();
    const out = memory.allocate(512);
    const into = memory.allocate(512);
    memory.u8.fill(7, out, out + 512);
    memory.u8.fill(9, into, into + 512);
    const list = new ScatterList(2);
    list.addReadable(out, 512);
    list.addWritable(into, 512);
    queue.add(list);
    queue.publish();
    device.serve(100);
    queue.takeUsed(new UsedBatch(1));
    expect([...new Set(memory.u8.subarray(into, into + 100))]).toEqual([7]);
    expect([...new Set(memory.u8.subarray(into + 100, into + 512))]).toEqual([9]);
  });

  it('allocates zeroed coherent memory, and private memory around it stays private', () => {
    const { memory, mapping, space, faults } = bootRig();
    const region = mapping.allocateCoherent(100, 64);
    expect(region.address % PAGE_SIZE).toBe(0);
    expect(memory.u8.subarray(region.address, region.address + PAGE_SIZE).every((byte) => byte === 0)).toBe(true);
    expect(space.borrow(region.address, 0, PAGE_SIZE, 'write')).toBe(region.address);
    const neighbour = memory.allocate(16);
    expect(space.borrow(neighbour, 0, 16, 'read')).toBe(-1);
    expect(faults.count).toBe(1);
  });

  it('shares one pool between its queues', () => {
    const { memory, platform, mapping } = bootRig();
    const allocated = memory.allocated;
    const other = platform.openMapping('bounced', { queue: 1, capacity: 8 });
    expect(memory.allocated).toBe(allocated);
    const words = new Uint32Array(2);
    const buffer = memory.allocate(256 * 1024);
    expect(mapping.map(buffer, 256 * 1024, DmaDirection.ToDevice, words, 0)).toBeGreaterThanOrEqual(0);
    expect(other.map(buffer, 2048, DmaDirection.ToDevice, words, 0)).toBe(DMA_NO_SPACE);
  });

  it('gives everything back, private again', () => {
    const rig = bootRig();
    const { memory, platform, queue, mapping, space, faults } = rig;
    const ring = queue.addresses.words[0]!;
    disposeInUse(rig);
    expect(mapping.statistics.live).toBe(0);
    expect(mapping.statistics.maps).toBe(mapping.statistics.unmaps);
    expect(memory.allocated).toBe(0);
    expect(platform.leakedBytes).toBe(0);
    space.read(ring, 0, new Uint8Array(1), 0, 1);
    expect(faults.entries.map((fault) => fault.cause)).toEqual(['private-page']);
  });

  it('disposes mappings that their queues left open', () => {
    const { memory, platform, mapping } = bootRig();
    platform.dispose();
    expect(mapping.statistics.live).toBe(0);
    expect(memory.allocated).toBe(0);
  });

  it('fails when the host refuses to share, and never uses these pages again', () => {
    let refused = false;
    const guest = bootEncryptedGuest(
      undefined,
      refusingHost((call) => refused && call === 'setShared'),
    );
    const mapping = guest.platform.openMapping('bounced', REQUEST);
    refused = true;
    expect(() => mapping.allocateCoherent(PAGE_SIZE, 16)).toThrow(
      expect.objectContaining({
        code: 'ERR_DMA_EXHAUSTED',
        message: expect.stringContaining('refused to share 4096 bytes'),
      }),
    );
    expect(guest.platform.leakedBytes).toBe(PAGE_SIZE);
    refused = false;
    mapping.dispose();
    guest.platform.dispose();
    expect(guest.memory.allocated).toBe(PAGE_SIZE);
  });

  it('leaks memory that the host refuses to make private, and never hands it out again', () => {
    let refused = false;
    const guest = bootEncryptedGuest(
      undefined,
      refusingHost((call) => refused && call === 'setPrivate'),
    );
    const mapping = guest.platform.openMapping('bounced', REQUEST);
    const region = mapping.allocateCoherent(2 * PAGE_SIZE, 16);
    refused = true;
    region.release();
    refused = false;
    expect(guest.platform.leakedBytes).toBe(2 * PAGE_SIZE);
    expect(mapping.statistics.live).toBe(0);
    mapping.dispose();
    guest.platform.dispose();
    expect(guest.memory.allocated).toBe(2 * PAGE_SIZE);
    const rest = guest.memory.size - PAGE_SIZE - guest.memory.allocated;
    const leaked = [region.address, region.address + PAGE_SIZE];
    for (let taken = 0; taken < rest; taken += PAGE_SIZE)
      expect(leaked).not.toContain(guest.memory.allocate(PAGE_SIZE));
  });

  it('says how much memory a pool would need that does not fit, and holds nothing then', () => {
    const guest = bootEncryptedGuest({ pool: 2 ** 20 });
    expect(() => guest.platform.openMapping('bounced', REQUEST)).toThrow(
      expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED', message: expect.stringContaining('1048576 bytes') }),
    );
    expect(guest.memory.allocated).toBe(0);
  });
});
