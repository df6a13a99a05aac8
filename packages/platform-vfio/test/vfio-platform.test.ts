import { disposeInUse, ringOptions } from '@virtio-platform/conformance/testing';
import { DMA_NO_SPACE, DmaDirection, type DmaMapping } from '@virtio-platform/core/dma';
import { ScatterList, SplitVirtqueue, UsedBatch } from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import type { VfioOptionsInput } from '@virtio-platform/platform-vfio';
import { EchoDevice } from '@virtio-platform/conformance';
import { startProcess, type UserProcess } from './user-process.ts';

interface Rig extends UserProcess {
  readonly mapping: DmaMapping;
  readonly queue: SplitVirtqueue;
  readonly device: EchoDevice;
}

/** A process whose queue of 16 talks to an echo device. */
function startRig(input?: VfioOptionsInput): Rig {
  const process = startProcess(input);
  const mapping = process.platform.openMapping('translated', { queue: 0, capacity: 64 });
  const queue = new SplitVirtqueue(process.memory, mapping, ringOptions({ size: 16, indirect: 4 }));
  return { ...process, mapping, queue, device: new EchoDevice(process.space, queue.addresses) };
}

describe('VfioPlatform', () => {
  it.each([39, 48] as const)('carries requests mapped one by one, with %i address bits', (addressWidth) => {
    const { memory, queue, device, mapping, faults } = startRig({ addressWidth });
    const out = memory.allocate(9000);
    const into = memory.allocate(9000);
    const list = new ScatterList(2);
    const batch = new UsedBatch(16);
    const before = mapping.statistics.maps;
    for (let round = 0; round < 100; round++) {
      memory.u8.fill(round + 1, out + 300, out + 8300);
      list.clear();
      list.addReadable(out + 300, 8000);
      list.addWritable(into + 50, 8000);
      expect(queue.add(list)).toBeGreaterThanOrEqual(0);
      queue.publish();
      expect(device.serve()).toBe(1);
      expect(queue.takeUsed(batch)).toBe(1);
      expect(memory.u8.subarray(into + 50, into + 8050).every((byte) => byte === round + 1)).toBe(true);
    }
    expect(mapping.statistics.maps - before).toBe(200);
    expect(mapping.statistics.unmaps).toBe(200);
    expect(faults.entries).toEqual([]);
  });

  it('carries requests through premapped regions without another system call', () => {
    const { memory, queue, device, mapping, container, faults } = startRig();
    const out = mapping.premap(memory.allocate(8192), 8192, DmaDirection.ToDevice);
    const into = mapping.premap(memory.allocate(8192), 8192, DmaDirection.FromDevice);
    const { available } = container.info();
    const list = new ScatterList(2);
    const batch = new UsedBatch(16);
    for (let round = 0; round < 100; round++) {
      memory.u8.fill(round + 1, out.address + 100, out.address + 600);
      list.clear();
      list.addReadableRegion(out, 100, 500);
      list.addWritableRegion(into, 1000, 500);
      queue.add(list);
      queue.publish();
      device.serve();
      expect(queue.takeUsed(batch)).toBe(1);
      expect(memory.u8.subarray(into.address + 1000, into.address + 1500).every((byte) => byte === round + 1)).toBe(
        true,
      );
    }
    expect(container.info().available).toBe(available);
    expect(faults.entries).toEqual([]);
  });

  it('lets a full container hold requests back until one completes', () => {
    const { memory, queue, device, faults } = startRig({ entryLimit: 4 });
    const buffer = memory.allocate(4096);
    const list = new ScatterList(1);
    const batch = new UsedBatch(16);
    list.addReadable(buffer, 100);
    const ids = [queue.add(list), queue.add(list), queue.add(list)];
    // The rings and the indirect tables hold two of the four.
    expect(ids.map((id) => id >= 0)).toEqual([true, true, false]);
    expect(ids[2]).toBe(DMA_NO_SPACE);
    queue.publish();
    expect(device.serve()).toBe(2);
    queue.takeUsed(batch);
    expect(queue.add(list)).toBeGreaterThanOrEqual(0);
    expect(faults.count).toBe(0);
  });

  it('gives queues addresses of their own', () => {
    const { memory, platform, mapping, space } = startRig();
    const other = platform.openMapping('translated', { queue: 1, capacity: 64 });
    const words = new Uint32Array(4);
    const buffer = memory.allocate(8192);
    mapping.map(buffer, 16, DmaDirection.ToDevice, words, 0);
    other.map(buffer + 4096, 16, DmaDirection.ToDevice, words, 2);
    expect(space.borrow(words[0]!, words[1]!, 16, 'read')).toBe(buffer);
    expect(space.borrow(words[2]!, words[3]!, 16, 'read')).toBe(buffer + 4096);
  });

  it('gives everything back', () => {
    const rig = startRig();
    const { memory, platform, queue, mapping, container, space } = rig;
    const ring = queue.addresses.words;
    disposeInUse(rig);
    expect(mapping.statistics.live).toBe(0);
    expect(mapping.statistics.maps).toBe(mapping.statistics.unmaps);
    expect(memory.allocated).toBe(0);
    expect(platform.pinnedBytes).toBe(0);
    expect(platform.leakedBytes).toBe(0);
    expect(container.info().available).toBe(65535);
    expect(space.borrow(ring[0]!, ring[1]!, 16, 'read')).toBe(-1);
  });

  it('disposes mappings that their queues left open, and can map again', () => {
    const { memory, platform, mapping, container } = startRig();
    const words = new Uint32Array(2);
    mapping.map(memory.allocate(100), 100, DmaDirection.ToDevice, words, 0);
    platform.dispose();
    expect(mapping.statistics.live).toBe(0);
    expect(container.info().available).toBe(65535);
    const again = platform.openMapping('translated', { queue: 0, capacity: 64 });
    again.map(4096, 100, DmaDirection.ToDevice, words, 0);
    expect([...words]).toEqual([0, 0]);
  });

  it('says which addresses there are when the profile starts at none of them', () => {
    const { platform } = startProcess({ iovaStart: 2 ** 40 });
    expect(() => platform.openMapping('translated', { queue: 0, capacity: 1 })).toThrow(
      expect.objectContaining({
        code: 'ERR_DMA_RANGE',
        message: expect.stringContaining(
          '0x10000000000 cannot be used: the container has 0x0..0xfedfffff, 0xfef00000..0x7fffffffff',
        ),
      }),
    );
  });

  it('keeps out of the reserved range when it starts in it', () => {
    const { memory, platform } = startProcess({ iovaStart: 0xfee8_0000 });
    const words = new Uint32Array(2);
    const mapping = platform.openMapping('translated', { queue: 0, capacity: 1 });
    mapping.map(memory.allocate(4096), 100, DmaDirection.ToDevice, words, 0);
    expect([...words]).toEqual([0xfef0_0000, 0]);
  });
});
