import { deviceDescription } from '@virtio-platform/conformance/testing';
import {
  FeatureSet,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_VERSION_1,
} from '@virtio-platform/core/features';
import { identifyMmioDevice, MMIO, MmioLegacyTransport, MmioModernTransport } from '@virtio-platform/mmio';
import entropy from '@virtio-platform/device-entropy';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MMIO_BOARDS } from '../../src/board/board-name.ts';
import { BoardSlot, MMIO_SLOTS } from '../../src/board/board-slot.ts';
import { SKIP, startBoard } from '../installed-qemu.ts';

const OFFERS = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM);

describe.skipIf(SKIP).each(MMIO_BOARDS)('the slots of %s', (board) => {
  let started: Awaited<ReturnType<typeof startBoard>>;
  const slot = (number: number): BoardSlot => new BoardSlot(board, number, started.qtest);

  beforeAll(async () => {
    started = await startBoard(board, { device: deviceDescription(entropy, {}, { offers: OFFERS }) });
  });
  afterAll(() => started.dispose());

  it('are as many as the table says, empty but for the one of the device', () => {
    const { count } = MMIO_SLOTS[board];
    const found = Array.from({ length: count }, (_, number) => identifyMmioDevice(slot(number)));
    expect(found).toEqual([
      { interface: 'modern', deviceId: 4 },
      ...Array.from({ length: count - 1 }, () => undefined),
    ]);
    expect(() => identifyMmioDevice(slot(count))).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_CONFIG' }));
    expect(() => new MmioModernTransport(slot(1))).toThrow(/virtio-mmio slot 1 at 0x[0-9a-f]+ is empty/);
  });

  it('have a device that answers words 2 and 3 of its features with word 1, and that offers ACCESS_PLATFORM', () => {
    const registers = slot(0);
    const words = [0, 1, 2, 3].map((word) => {
      registers.write(MMIO.DeviceFeaturesSel, 4, word);
      return registers.read(MMIO.DeviceFeatures, 4);
    });
    expect([words[2], words[3]]).toEqual([words[1], words[1]]);
    const features = new MmioModernTransport(registers).readDeviceFeatures();
    expect(features.bits >> 64n).toBe(0n);
    expect(features.has(VIRTIO_F_ACCESS_PLATFORM)).toBe(true);
  });

  it('have no register to reset a queue with, and QEMU says so: the queue stays enabled', () => {
    const transport = new MmioModernTransport(slot(0));
    expect(transport.readDeviceFeatures().has(VIRTIO_F_RING_RESET)).toBe(true);
    transport.writeStatus(3);
    transport.writeDriverFeatures(FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_F_RING_RESET));
    transport.writeStatus(11);
    const address = started.memory.allocate(4096);
    transport.enableQueue(0, { size: 8, words: Uint32Array.of(address, 0, address + 128, 0, address + 256, 0) });
    transport.resetQueue(0);
    expect(() => transport.isQueueReset(0)).toThrow(/1, not 0, in QueueReady of queue 0 after it was reset/);
    transport.writeStatus(0);
    expect(transport.isQueueReset(0)).toBe(true);
  });
});

describe.skipIf(SKIP)('a legacy device in a slot', () => {
  it('offers no ACCESS_PLATFORM, which is above bit 31', async () => {
    const legacy = { interface: 'legacy', driverInterface: 'legacy', offers: OFFERS } as const;
    const started = await startBoard('microvm', { device: deviceDescription(entropy, {}, legacy) });
    try {
      const registers = new BoardSlot('microvm', 0, started.qtest);
      expect(() => new MmioModernTransport(registers)).toThrow(/has a legacy device/);
      expect(new MmioLegacyTransport(registers).readDeviceFeatures().bits >> 32n).toBe(0n);
      registers.write(MMIO.DeviceFeaturesSel, 4, 1);
      expect(registers.read(MMIO.DeviceFeatures, 4)).toBe(0);
    } finally {
      await started.dispose();
    }
  });
});
