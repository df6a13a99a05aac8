import type { BootedMachine } from '@virtio-platform/core';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { FeatureSet, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { MEMORY_CONVERSION, type MemoryConversion } from '@virtio-platform/platform-sev';
import { describe, expect, it } from 'vitest';
import { BlockRing, READ, WRITE } from '@virtio-platform/conformance/testing';
import { MEMORY, SKIP, withMachine } from '../storage-daemon.ts';

const OPTIONS = { needs: [MEMORY_CONVERSION], offers: FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM) };
const PAGE = 4096;
const SHARED = 1 << 20;

function conversion(machine: BootedMachine): MemoryConversion {
  // The token says which interface it is.
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion
  return machine.facilities.get(MEMORY_CONVERSION) as MemoryConversion;
}

/** A ring in memory whose first part is shared, and everything else private. */
function ringInSharedMemory(machine: BootedMachine): BlockRing {
  expect(conversion(machine).setShared(0, SHARED)).toBe(true);
  return new BlockRing(machine, new DirectDmaMapping(machine.memory, { path: 'identity', capacity: 64 }));
}

describe.skipIf(SKIP)('RegionMemoryConversion with qemu-storage-daemon', () => {
  it('lets the device read and write shared memory', () =>
    withMachine(OPTIONS, (machine) => {
      const { memory } = machine;
      const ring = ringInSharedMemory(machine);
      const data = memory.allocate(PAGE);
      memory.u8.fill(0x21, data, data + PAGE);
      expect(ring.request(WRITE, 0, data, PAGE)).toBe(0);
      memory.u8.fill(0, data, data + PAGE);
      expect(ring.request(READ, 0, data, PAGE)).toBe(0);
      expect(memory.u8[data + 100]).toBe(0x21);
      ring.end();
    }));

  it('keeps the device from reading private memory', () =>
    withMachine(OPTIONS, (machine) => {
      const ring = ringInSharedMemory(machine);
      machine.memory.u8.fill(0x99, SHARED, SHARED + PAGE);
      ring.submit(WRITE, 0, SHARED, PAGE);
      expect(ring.finish()).toBe('lost');
      expect(ring.status).toBe(0xff);
    }));

  it('keeps the device from writing private memory', () =>
    withMachine(OPTIONS, (machine) => {
      const { memory } = machine;
      const ring = ringInSharedMemory(machine);
      memory.u8.fill(0x99, SHARED, SHARED + PAGE);
      ring.submit(READ, 0, SHARED, PAGE);
      expect(ring.finish()).toBe('lost');
      expect(memory.u8.subarray(SHARED, SHARED + PAGE).every((byte) => byte === 0x99)).toBe(true);
    }));

  it('takes memory away from the device when it becomes private again', () =>
    withMachine(OPTIONS, (machine) => {
      const { memory } = machine;
      const ring = ringInSharedMemory(machine);
      const data = 4 << 20;
      expect(conversion(machine).setShared(data, 4 * PAGE)).toBe(true);
      memory.u8.fill(0x31, data, data + 4 * PAGE);
      expect(ring.request(WRITE, 0, data, 4 * PAGE)).toBe(0);
      expect(conversion(machine).setPrivate(data + PAGE, PAGE)).toBe(true);
      expect(memory.u8[data + PAGE]).toBe(0);
      expect([memory.u8[data], memory.u8[data + 2 * PAGE]]).toEqual([0x31, 0x31]);
      // What is left on both sides is still shared.
      expect(ring.request(READ, 0, data + 2 * PAGE, 2 * PAGE)).toBe(0);
      expect(ring.request(READ, 0, data, PAGE)).toBe(0);
      memory.u8.fill(0x44, data + PAGE, data + 2 * PAGE);
      ring.submit(READ, 0, data, 2 * PAGE);
      expect(ring.finish()).toBe('lost');
      expect(memory.u8[data + PAGE]).toBe(0x44);
    }));

  it('shares only what is not shared yet', () =>
    withMachine(OPTIONS, (machine) => {
      const { memory } = machine;
      expect(conversion(machine).setShared(2 * PAGE, 2 * PAGE)).toBe(true);
      memory.u8.fill(0x12, 2 * PAGE, 4 * PAGE);
      expect(conversion(machine).setShared(0, 8 * PAGE)).toBe(true);
      expect(conversion(machine).setShared(0, 8 * PAGE)).toBe(true);
      expect([memory.u8[2 * PAGE], memory.u8[4 * PAGE - 1]]).toEqual([0x12, 0x12]);
      expect(conversion(machine).setPrivate(0, MEMORY)).toBe(true);
    }));

  it('refuses to share more ranges than the back-end takes, and converts nothing then', () =>
    withMachine(OPTIONS, (machine) => {
      const { memory } = machine;
      for (let i = 0; i < 32; i++) expect(conversion(machine).setShared(2 * i * PAGE, PAGE)).toBe(true);
      memory.u8[100 * PAGE] = 0x55;
      expect(conversion(machine).setShared(100 * PAGE, PAGE)).toBe(false);
      expect(memory.u8[100 * PAGE]).toBe(0x55);
      expect(conversion(machine).setPrivate(0, PAGE)).toBe(true);
      expect(conversion(machine).setShared(100 * PAGE, PAGE)).toBe(true);
    }));

  it('converts whole pages of guest memory only', () =>
    withMachine(OPTIONS, (machine) => {
      expect(() => conversion(machine).setShared(1, PAGE)).toThrow(RangeError);
      expect(() => conversion(machine).setShared(0, 100)).toThrow(RangeError);
      expect(() => conversion(machine).setPrivate(MEMORY, PAGE)).toThrow(RangeError);
    }));
});
