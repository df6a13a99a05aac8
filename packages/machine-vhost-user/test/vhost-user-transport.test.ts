import { VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_RO } from '@virtio-platform/device-block';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BootedMachine } from '@virtio-platform/core';
import { DeviceStatus, resetDevice } from '@virtio-platform/core/device';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import {
  FeatureSet,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '@virtio-platform/core/features';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { BlockRing, READ, SECTOR, WRITE } from '@virtio-platform/conformance/testing';
import { CAPACITY, SKIP, withMachine } from './storage-daemon.ts';

const OFFERS = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_RING_F_EVENT_IDX);

function physical(memory: GuestMemory): DirectDmaMapping {
  return new DirectDmaMapping(memory, { path: 'physical', capacity: 64 });
}

/** Goes to FEATURES_OK with `features`, and returns whether the device took them. */
function accepts({ transport }: BootedMachine, features: FeatureSet): boolean {
  resetDevice(transport);
  transport.writeStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver);
  transport.writeDriverFeatures(features);
  transport.writeStatus(transport.readStatus() | DeviceStatus.FeaturesOk);
  return (transport.readStatus() & DeviceStatus.FeaturesOk) !== 0;
}

describe.skipIf(SKIP)('VhostUserTransport with qemu-storage-daemon', () => {
  it('offers what the back-end has, without the bits of the protocol itself', () =>
    withMachine({}, ({ transport }) => {
      const offered = transport.readDeviceFeatures();
      for (const bit of [
        VIRTIO_F_VERSION_1,
        VIRTIO_RING_F_EVENT_IDX,
        VIRTIO_RING_F_INDIRECT_DESC,
        VIRTIO_BLK_F_FLUSH,
      ]) {
        expect(offered.has(bit)).toBe(true);
      }
      for (const bit of [26, 30, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_BLK_F_RO]) expect(offered.has(bit)).toBe(false);
      expect(transport.queueCount).toBe(1);
      expect([transport.maxQueueSize(0), transport.maxQueueSize(1)]).toEqual([1024, 0]);
    }));

  it('offers what the profile lists of it, and ACCESS_PLATFORM as its own', () =>
    withMachine({ offers: OFFERS.with(VIRTIO_F_RING_PACKED) }, ({ transport }) => {
      expect(transport.readDeviceFeatures().bits).toBe(OFFERS.bits);
    }));

  it('refuses FEATURES_OK without VERSION_1, without an offered ACCESS_PLATFORM, and with a bit it did not offer', () =>
    withMachine({ offers: OFFERS }, (machine) => {
      expect(accepts(machine, OFFERS.without(VIRTIO_F_VERSION_1))).toBe(false);
      expect(accepts(machine, OFFERS.without(VIRTIO_F_ACCESS_PLATFORM))).toBe(false);
      expect(accepts(machine, OFFERS.with(VIRTIO_BLK_F_FLUSH))).toBe(false);
      expect(accepts(machine, OFFERS)).toBe(true);
    }));

  it('reads the capacity, at its place and in parts', () =>
    withMachine({}, ({ transport }) => {
      const config = new Uint8Array(60);
      transport.readConfig(0, config);
      expect(new DataView(config.buffer).getBigUint64(0, true)).toBe(BigInt(CAPACITY / SECTOR));
      const part = new Uint8Array(4);
      transport.readConfig(20, part);
      expect(part).toEqual(config.slice(20, 24));
    }));

  it('refuses configuration that the back-end does not have, and stays usable', () =>
    withMachine({}, ({ transport }) => {
      expect(() => transport.readConfig(0, new Uint8Array(200))).toThrow(
        expect.objectContaining({ code: 'ERR_DEVICE_CONFIG' }),
      );
      transport.readConfig(0, new Uint8Array(8));
    }));

  it('writes blocks to the image and reads them back', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-test-'));
    const image = join(folder, 'image');
    writeFileSync(image, '');
    truncateSync(image, CAPACITY);
    try {
      await withMachine({ image }, (machine) => {
        const { memory } = machine;
        const ring = new BlockRing(machine, physical(memory));
        const data = memory.allocate(4096);
        // More than the indices of a ring hold, so that they wrap.
        for (let i = 0; i < 200; i++) {
          memory.u8.fill(i + 1, data, data + 4096);
          expect(ring.request(WRITE, (i % 100) * 8, data, 4096)).toBe(0);
        }
        memory.u8.fill(0, data, data + 4096);
        expect(ring.request(READ, 8 * 7, data, 4096)).toBe(0);
        expect(memory.u8.subarray(data, data + 4096).every((byte) => byte === 108)).toBe(true);
        ring.end();
      });
      expect(
        readFileSync(image)
          .subarray(0, 100 * 4096)
          .filter((byte, i) => byte === Math.floor(i / 4096) + 101),
      ).toHaveLength(100 * 4096);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('starts its queue again after a reset', () =>
    withMachine({}, (machine) => {
      const { memory, transport } = machine;
      const data = memory.allocate(512);
      for (let round = 0; round < 3; round++) {
        const ring = new BlockRing(machine, physical(memory), 16 << round);
        memory.u8.fill(round + 1, data, data + 512);
        expect(ring.request(WRITE, round, data, 512)).toBe(0);
        expect(() => transport.enableQueue(0, ring.queue.addresses)).toThrow(TypeError);
        ring.end();
        expect(transport.readStatus()).toBe(0);
      }
      expect(memory.allocated).toBe(512);
    }));

  it('confirms a reset only when nothing is in flight', () =>
    withMachine({}, (machine) => {
      const { memory, transport } = machine;
      const ring = new BlockRing(machine, physical(memory));
      const data = memory.allocate(1 << 20);
      ring.submit(READ, 0, data, 1 << 20);
      transport.writeStatus(0);
      while (transport.readStatus() !== 0) transport.wait(1);
      memory.u8.fill(0x5a, data, data + (1 << 20));
      transport.wait(20);
      expect(memory.u8.subarray(data, data + (1 << 20)).every((byte) => byte === 0x5a)).toBe(true);
    }));

  it('times out a wait when nothing happens, and swallows the notification of setting up a queue', () =>
    withMachine({}, (machine) => {
      const ring = new BlockRing(machine, physical(machine.memory));
      expect(machine.transport.wait(20)).toBe('timeout');
      expect(ring.request(READ, 0, machine.memory.allocate(512), 512)).toBe(0);
    }));
});
