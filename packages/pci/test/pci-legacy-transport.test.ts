import {
  FeatureSet,
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '@virtio-platform/core/features';
import type { GuestMemory } from '@virtio-platform/core/memory';
import type { QueueAddresses } from '@virtio-platform/core/queue';
import { describeTransport } from '@virtio-platform/conformance';
import { describe, expect, it } from 'vitest';
import { NO_MSIX } from '../src/device-interrupts.ts';
import { PciLegacyTransport } from '../src/pci-legacy-transport.ts';
import { allocateMsiRegion, polledMsix } from './msix-region.ts';
import { LegacyDevice, QUEUE_SIZES, type LegacyDeviceOptions } from './legacy-device.ts';
import { RegisterFile, SoftwareFunction } from './register-file.ts';

/**
 * The areas of a ring in one block (specification 1.4 section 2.7.2): 16 bytes and 2 for each entry, 6 more, then the
 * next page.
 */
function addresses(base: number, size: number): QueueAddresses {
  const driver = base + 16 * size;
  const device = Math.ceil((driver + 6 + 2 * size) / 4096) * 4096;
  const words = [base, driver, device].flatMap((address) => [address % 2 ** 32, Math.floor(address / 2 ** 32)]);
  return { size, words: Uint32Array.from(words) };
}

function open(options: LegacyDeviceOptions = {}): { device: LegacyDevice; transport: PciLegacyTransport } {
  const device = new LegacyDevice(options);
  return { device, transport: new PciLegacyTransport(device, NO_MSIX) };
}

function withMsix(options: LegacyDeviceOptions = {}): ReturnType<typeof open> & { memory: GuestMemory; word: number } {
  const device = new LegacyDevice(options);
  const { memory, msix } = polledMsix(device);
  const transport = new PciLegacyTransport(device, msix);
  return { device, transport, memory, word: allocateMsiRegion(transport, memory).address / 4 };
}

function firstConfigByte(transport: PciLegacyTransport): number {
  const bytes = new Uint8Array(1);
  transport.readConfig(0, bytes);
  return bytes[0]!;
}

describeTransport('PciLegacyTransport', { setup: () => ({ transport: open().transport, configBytes: 8 }) });

describe('PciLegacyTransport', () => {
  it('reads its type from the subsystem id, and counts the queues that have a size', () => {
    const { transport } = open();
    expect([transport.deviceId, transport.queueCount]).toEqual([2, 2]);
    expect([0, 1, 2].map((queue) => transport.maxQueueSize(queue))).toEqual([...QUEUE_SIZES, 0]);
  });

  it('counts at most 64 queues of a device that reports more', () => {
    expect(open({ queueSizes: Array<number>(1000).fill(256) }).transport.queueCount).toBe(64);
  });

  it('hides VIRTIO_F_BAD_FEATURE and the features of its caller', () => {
    const features = FeatureSet.of(VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC);
    const device = new LegacyDevice({ features });
    expect(new PciLegacyTransport(device, NO_MSIX).readDeviceFeatures().bits).toBe(features.bits);
    const hidden = FeatureSet.of(VIRTIO_RING_F_EVENT_IDX);
    const transport = new PciLegacyTransport(device, NO_MSIX, hidden);
    expect([...transport.readDeviceFeatures()]).toEqual([VIRTIO_RING_F_INDIRECT_DESC]);
    expect(transport.carries.has(VIRTIO_F_VERSION_1)).toBe(false);
    transport.writeDriverFeatures(FeatureSet.of(VIRTIO_RING_F_INDIRECT_DESC));
    expect(device.registers.peek(4, 4)).toBe(2 ** VIRTIO_RING_F_INDIRECT_DESC);
  });

  it('writes the page frame number of a queue', () => {
    const { device, transport } = open();
    transport.enableQueue(1, addresses(0x123_4000, 64));
    expect(device.frames).toEqual([undefined, 0x1234]);
    expect([transport.isQueueReset(0), transport.isQueueReset(1)]).toEqual([true, false]);
    transport.enableQueue(0, addresses(0xfff_ffff_f000 - 0x3000, 256));
    expect(device.frames[0]).toBe(0xffff_fffc);
    transport.writeStatus(0);
    expect(transport.isQueueReset(1)).toBe(true);
  });

  it.each<[string, QueueAddresses, string]>([
    ['is not at a page boundary', addresses(0x1800, 64), 'ERR_DMA_RANGE'],
    ['is above 2^44', addresses(2 ** 44, 64), 'ERR_DMA_RANGE'],
    [
      'does not have the layout that the device expects',
      { ...addresses(0x1000, 64), words: addresses(0x1000, 32).words },
      'ERR_DMA_RANGE',
    ],
  ])('refuses a queue that %s', (_, ring, code) => {
    const { device, transport } = open();
    expect(() => transport.enableQueue(1, ring)).toThrow(expect.objectContaining({ code }));
    expect(device.frames).toEqual([]);
  });

  it('refuses a queue of another size than the device has', () => {
    const { device, transport } = open();
    expect(() => transport.enableQueue(0, addresses(0x1000, 128))).toThrow(
      expect.objectContaining({ code: 'ERR_DEVICE_CONFIG' }),
    );
    expect(device.frames).toEqual([]);
  });

  it('C11 has no more configuration than its registers', () => {
    const { transport } = open();
    // 64 bytes of registers, of which 20 are not the device's configuration.
    expect(() => transport.readConfig(36, new Uint8Array(8))).not.toThrow();
    for (const access of [
      () => transport.readConfig(37, new Uint8Array(8)),
      () => transport.writeConfig(44, new Uint8Array(1)),
    ]) {
      expect(access).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_CONFIG' }));
    }
  });

  it('has its configuration behind the vectors while MSI-X is enabled', () => {
    const { device, transport, memory, word } = withMsix();
    expect(firstConfigByte(transport)).toBe(0x40);
    transport.enableQueue(1, addresses(0x4000, 64));
    expect(device.hasMsix).toBe(true);
    expect(device.queueVectors).toEqual([undefined, 1]);
    expect(firstConfigByte(transport)).toBe(0x40);
    transport.writeConfig(1, Uint8Array.of(7));
    expect(device.registers.log.at(-1)).toBe('0x19=0x7/1');
    memory.u32[word + 1] = 1;
    expect([transport.wait(0), transport.wait(0)]).toEqual(['notified', 'timeout']);
    transport.writeStatus(0);
    expect(device.hasMsix).toBe(false);
    expect(firstConfigByte(transport)).toBe(0x40);
  });

  it.each([0, 1])('refuses a device that accepts only %d vectors', (vectors) => {
    const { transport } = withMsix({ vectors });
    expect(() => transport.enableQueue(0, addresses(0x1000, 256))).toThrow(/cannot use MSI-X vector/);
  });

  it('notifies by the number of the queue, and polls the ISR register', () => {
    const { device, transport } = open();
    transport.notify(1, 99);
    expect(device.registers.log.at(-1)).toBe('0x10=0x1/2');
    device.registers.poke(19, 1, 3);
    expect([transport.wait(0), transport.wait(0)]).toEqual(['notified', 'timeout']);
  });

  it('tells a change of the configuration by the ISR register, and by the vector 0 of MSI-X', () => {
    const { device, transport } = open();
    device.registers.poke(19, 1, 1);
    expect([transport.wait(0), transport.takeConfigChange()]).toEqual(['notified', false]);
    device.registers.poke(19, 1, 3);
    expect([transport.wait(0), transport.takeConfigChange(), transport.takeConfigChange()]).toEqual([
      'notified',
      true,
      false,
    ]);
    const { transport: other, memory, word } = withMsix();
    other.enableQueue(1, addresses(0x4000, 64));
    memory.u32[word] = 1;
    expect([other.wait(0), other.takeConfigChange(), other.takeConfigChange()]).toEqual(['notified', true, false]);
    memory.u32[word + 1] = 1;
    expect([other.wait(0), other.takeConfigChange()]).toEqual(['notified', false]);
  });

  it('refuses to reset one queue', () => {
    expect(() => open().transport.resetQueue(0)).toThrow(TypeError);
  });

  it('reports that a device is gone', () => {
    const { device, transport } = open();
    device.isGone = true;
    expect(transport.wait(1000)).toBe('lost');
    expect(() => transport.notify(0, 0)).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_LOST' }));
    transport.dispose();
  });

  it('refuses a function without a legacy interface', () => {
    const refusal = expect.objectContaining({ code: 'ERR_DEVICE_CONFIG', message: expect.stringMatching(/no legacy/) });
    const modern = new SoftwareFunction(0x1af4, 0x1042, [new RegisterFile(64, 'io')]);
    expect(() => new PciLegacyTransport(modern, NO_MSIX)).toThrow(refusal);
    const bare = new SoftwareFunction(0x1af4, 0x1001);
    expect(() => new PciLegacyTransport(bare, NO_MSIX)).toThrow(refusal);
    const short = new SoftwareFunction(0x1af4, 0x1001, [new RegisterFile(8, 'io')]);
    expect(() => new PciLegacyTransport(short, NO_MSIX)).toThrow(
      expect.objectContaining({ code: 'ERR_DEVICE_CONFIG' }),
    );
  });
});
