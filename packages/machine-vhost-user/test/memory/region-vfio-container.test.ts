import type { BootedMachine } from '@virtio-platform/core';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { FeatureSet, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import {
  EEXIST,
  EFAULT,
  EINVAL,
  ENOSPC,
  VFIO_CONTAINER,
  VFIO_DMA_UNMAP_FLAG_ALL,
  type Type1Container,
} from '@virtio-platform/platform-vfio';
import { describe, expect, it } from 'vitest';
import { BlockRing, READ, WRITE } from '@virtio-platform/conformance/testing';
import { MEMORY, sharedFile, SKIP, withMachine } from '../storage-daemon.ts';

const OPTIONS = { needs: [VFIO_CONTAINER], offers: FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM) };
const PAGE = 4096;
const READ_WRITE = 3;

function container(machine: BootedMachine): Type1Container {
  // The token says which interface it is.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return machine.facilities.get(VFIO_CONTAINER) as Type1Container;
}

/** Fills pages with bytes that are nowhere else. */
function fill(machine: BootedMachine, address: number, length: number, text: string): void {
  Buffer.from(machine.memory.buffer as ArrayBuffer, address, length).fill(text);
}

describe.skipIf(SKIP)('RegionVfioContainer with qemu-storage-daemon', () => {
  it('refuses what the kernel refuses, with the same errno', () =>
    withMachine(OPTIONS, (machine) => {
      const vfio = container(machine);
      expect(vfio.mapDma(0, 0x10_0000, 4 * PAGE, READ_WRITE)).toBe(0);
      expect(vfio.mapDma(0, 0x10_0000 + PAGE, PAGE, READ_WRITE)).toBe(EEXIST);
      expect(vfio.mapDma(0, 0x20_0000, 100, READ_WRITE)).toBe(EINVAL);
      expect(vfio.mapDma(0, 0x20_0001, PAGE, READ_WRITE)).toBe(EINVAL);
      expect(vfio.mapDma(0, 0x20_0000, 0, READ_WRITE)).toBe(EINVAL);
      expect(vfio.mapDma(0, 0x20_0000, PAGE, 0)).toBe(EINVAL);
      expect(vfio.mapDma(0, 0x20_0000, PAGE, 4)).toBe(EINVAL);
      expect(vfio.mapDma(0, 2 ** 48, PAGE, READ_WRITE)).toBe(EINVAL);
      expect(vfio.mapDma(MEMORY, 0x20_0000, PAGE, READ_WRITE)).toBe(EFAULT);
      expect(vfio.unmapDma(0x10_0000, PAGE)).toBe(EINVAL);
      expect(vfio.unmapDma(0x10_0000 - PAGE, 2 * PAGE)).toBe(EINVAL);
      expect(vfio.unmapDma(0x50_0000, PAGE)).toBe(0);
      expect(vfio.unmapDma(0, PAGE, VFIO_DMA_UNMAP_FLAG_ALL)).toBe(EINVAL);
      expect(vfio.unmapDma(0x10_0000, 4 * PAGE, 4)).toBe(EINVAL);
      expect(vfio.unmapDma(0, 0x100_0000)).toBe(4 * PAGE);
    }));

  it('has as many mappings as the back-end has regions, and gets each back', () =>
    withMachine(OPTIONS, (machine) => {
      const vfio = container(machine);
      const { available } = vfio.info();
      expect(available).toBe(32);
      for (let i = 0; i < available; i++) expect(vfio.mapDma(i * PAGE, i * 2 * PAGE, PAGE, READ_WRITE)).toBe(0);
      expect(vfio.mapDma(0, 0x1000_0000, PAGE, READ_WRITE)).toBe(ENOSPC);
      expect(vfio.unmapDma(2 * PAGE, PAGE)).toBe(PAGE);
      expect(vfio.mapDma(0, 0x1000_0000, PAGE, READ_WRITE)).toBe(0);
      expect(vfio.unmapDma(0, 0, VFIO_DMA_UNMAP_FLAG_ALL)).toBe(32 * PAGE);
      expect(vfio.info().available).toBe(32);
    }));

  it('lets the device use the addresses that were mapped', () =>
    withMachine(OPTIONS, (machine) => {
      const { memory } = machine;
      expect(container(machine).mapDma(0, 0x1_0000_0000, 2 << 20, READ_WRITE)).toBe(0);
      const mapping = new DirectDmaMapping(memory, {
        path: 'linear',
        capacity: 64,
        offset: 0x1_0000_0000n,
        limit: 2 << 20,
      });
      const ring = new BlockRing(machine, mapping);
      const data = memory.allocate(PAGE);
      memory.u8.fill(0x42, data, data + PAGE);
      expect(ring.request(WRITE, 8, data, PAGE)).toBe(0);
      memory.u8.fill(0, data, data + PAGE);
      expect(ring.request(READ, 8, data, PAGE)).toBe(0);
      expect(memory.u8[data + PAGE - 1]).toBe(0x42);
      ring.end();
      expect(container(machine).unmapDma(0x1_0000_0000, 2 << 20)).toBe(2 << 20);
    }));

  it('loses a device that is given an address outside every mapping, and says what it printed', () =>
    withMachine(OPTIONS, (machine) => {
      const { memory, transport } = machine;
      expect(container(machine).mapDma(0, 0, 1 << 20, READ_WRITE)).toBe(0);
      const ring = new BlockRing(machine, new DirectDmaMapping(memory, { path: 'identity', capacity: 64 }));
      const outside = 6 << 20;
      memory.u8.fill(0x66, outside, outside + PAGE);
      const start = performance.now();
      ring.submit(READ, 0, outside, PAGE);
      expect(ring.finish()).toBe('lost');
      expect(performance.now() - start).toBeLessThan(2000);
      expect(ring.status).toBe(0xff);
      expect(memory.u8.subarray(outside, outside + PAGE).every((byte) => byte === 0x66)).toBe(true);
      expect(() => transport.readStatus()).toThrow(
        expect.objectContaining({ code: 'ERR_DEVICE_LOST', message: expect.stringContaining('invalid address') }),
      );
      // A driver still takes its mappings back.
      expect(container(machine).unmapDma(0, 1 << 20)).toBe(1 << 20);
      expect(() => container(machine).mapDma(0, 0, PAGE, READ_WRITE)).toThrow(
        expect.objectContaining({ code: 'ERR_DEVICE_LOST' }),
      );
    }));

  it('does not enable a queue whose ring is not mapped, and can go on', () =>
    withMachine(OPTIONS, (machine) => {
      const { memory } = machine;
      const mapping = (): DirectDmaMapping => new DirectDmaMapping(memory, { path: 'identity', capacity: 64 });
      expect(() => new BlockRing(machine, mapping())).toThrow(
        expect.objectContaining({ code: 'ERR_DEVICE_RING_UNREACHABLE' }),
      );
      expect(container(machine).mapDma(0, 0, 1 << 20, READ_WRITE)).toBe(0);
      expect(new BlockRing(machine, mapping()).request(READ, 0, memory.allocate(512), 512)).toBe(0);
    }));

  it('moves its ring from mapping to mapping, reset after reset', () =>
    withMachine(OPTIONS, (machine) => {
      const { memory } = machine;
      const vfio = container(machine);
      for (let i = 0; i < 6; i++) {
        const iova = 0x10_0000 * (i + 1);
        // With and without another mapping that stays while the ring's own goes.
        const other = vfio.mapDma(7 << 20, 0, i % 2 === 0 ? 0 : PAGE, READ_WRITE);
        expect(other).toBe(i % 2 === 0 ? EINVAL : 0);
        expect(vfio.mapDma(0, iova, 0x10_0000 >> (i % 3), READ_WRITE)).toBe(0);
        const mapping = new DirectDmaMapping(memory, { path: 'linear', capacity: 64, offset: BigInt(iova) });
        const ring = new BlockRing(machine, mapping);
        expect(ring.request(READ, 0, memory.allocate(512), 512)).toBe(0);
        ring.end();
        expect(vfio.unmapDma(iova, 0x10_0000)).toBeGreaterThan(0);
        expect(vfio.mapDma(0, 0x1000_0000, PAGE, READ_WRITE)).toBe(0);
        expect(vfio.unmapDma(0, 0x2000_0000)).toBeGreaterThan(0);
      }
      expect(machine.transport.readStatus()).toBe(0);
    }));

  it('stops the queue before its ring is unmapped', () =>
    withMachine(OPTIONS, (machine) => {
      const { memory, transport } = machine;
      expect(container(machine).mapDma(0, 0, 1 << 20, READ_WRITE)).toBe(0);
      const ring = new BlockRing(machine, new DirectDmaMapping(memory, { path: 'identity', capacity: 64 }));
      expect(container(machine).unmapDma(0, 1 << 20)).toBe(1 << 20);
      ring.submit(READ, 0, memory.allocate(512), 512);
      expect(ring.finish(100)).toBe('timeout');
      expect(transport.readStatus()).not.toBe(0);
    }));

  it('has in the file that the back-end gets what is mapped, as it was, and nothing else', () =>
    withMachine(OPTIONS, (machine) => {
      const { memory } = machine;
      const pool = 2 << 20;
      fill(machine, 0, MEMORY, 'keep out');
      fill(machine, pool, 1 << 20, 'come in!');
      const before = Buffer.from(memory.u8);
      expect(container(machine).mapDma(pool, 0x1_0000_0000, 1 << 20, READ_WRITE)).toBe(0);
      const file = sharedFile();
      expect(file.includes('out')).toBe(false);
      expect(file.subarray(pool, pool + (1 << 20)).equals(before.subarray(pool, pool + (1 << 20)))).toBe(true);
      expect(before.equals(memory.u8)).toBe(true);
      expect(container(machine).unmapDma(0x1_0000_0000, 1 << 20)).toBe(1 << 20);
      expect(sharedFile().every((byte) => byte === 0)).toBe(true);
      expect(before.equals(memory.u8)).toBe(true);
    }));

  it('shares nothing for a mapping that is refused', () =>
    withMachine(OPTIONS, (machine) => {
      const vfio = container(machine);
      fill(machine, 0, MEMORY, 'keep out');
      for (let i = 0; i < 32; i++) expect(vfio.mapDma(PAGE, i * PAGE, PAGE, READ_WRITE)).toBe(0);
      expect(vfio.mapDma(2 << 20, 0x1000_0000, PAGE, READ_WRITE)).toBe(ENOSPC);
      expect(vfio.mapDma(2 << 20, PAGE, PAGE, READ_WRITE)).toBe(EEXIST);
      expect(sharedFile().lastIndexOf('out')).toBe(2 * PAGE - 3);
    }));

  it('shares a page that is mapped twice until the second mapping is gone', () =>
    withMachine(OPTIONS, (machine) => {
      const { memory } = machine;
      const vfio = container(machine);
      const [first, second] = [0x1_0000_0000, 0x2_0000_0000];
      expect(vfio.mapDma(0, first, 1 << 20, READ_WRITE)).toBe(0);
      const data = 4 << 20;
      fill(machine, data - PAGE, 4 * PAGE, 'neighbour');
      fill(machine, data, 2 * PAGE, 'twice mapped');
      expect(vfio.mapDma(data, second, 2 * PAGE, READ_WRITE)).toBe(0);
      expect(vfio.mapDma(data + PAGE, first + data + PAGE, PAGE, READ_WRITE)).toBe(0);
      expect(vfio.unmapDma(second, 2 * PAGE)).toBe(2 * PAGE);
      const file = sharedFile();
      expect(file.subarray(data, data + PAGE).every((byte) => byte === 0)).toBe(true);
      expect(file.includes('twice mapped', data + PAGE)).toBe(true);
      expect(file.includes('neighbour')).toBe(false);
      // The device still reaches what is still mapped.
      const offset = BigInt(first);
      const ring = new BlockRing(machine, new DirectDmaMapping(memory, { path: 'linear', capacity: 64, offset }));
      expect(ring.request(WRITE, 0, data + PAGE, PAGE)).toBe(0);
      expect(vfio.unmapDma(first + data + PAGE, PAGE)).toBe(PAGE);
      expect(sharedFile().includes('twice mapped')).toBe(false);
      const kept = Buffer.from(memory.u8.subarray(data, data + 2 * PAGE));
      expect(kept.equals(Buffer.alloc(2 * PAGE, 'twice mapped'))).toBe(true);
      ring.end();
    }));

  it('takes pages back, with what they hold, from a back-end that is gone', () =>
    withMachine(OPTIONS, (machine) => {
      const { memory } = machine;
      expect(container(machine).mapDma(0, 0, 1 << 20, READ_WRITE)).toBe(0);
      const ring = new BlockRing(machine, new DirectDmaMapping(memory, { path: 'identity', capacity: 64 }));
      ring.submit(READ, 0, 6 << 20, PAGE);
      expect(ring.finish()).toBe('lost');
      const before = Buffer.from(memory.u8);
      expect(container(machine).unmapDma(0, 1 << 20)).toBe(1 << 20);
      expect(sharedFile().every((byte) => byte === 0)).toBe(true);
      expect(before.equals(memory.u8)).toBe(true);
      expect(() => container(machine).mapDma(0, 0, PAGE, READ_WRITE)).toThrow(
        expect.objectContaining({ code: 'ERR_DEVICE_LOST' }),
      );
      expect(sharedFile().every((byte) => byte === 0)).toBe(true);
    }));
});
