import {
  FeatureSet,
  VIRTIO_F_NOTIF_CONFIG_DATA,
  VIRTIO_F_NOTIFICATION_DATA,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_VERSION_1,
} from '@virtio-platform/core/features';
import { DeviceStatus } from '@virtio-platform/core/device';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { describeTransport } from '@virtio-platform/conformance';
import { describe, expect, it } from 'vitest';
import { NO_MSIX } from '../src/device-interrupts.ts';
import { PciModernTransport } from '../src/pci-modern-transport.ts';
import { allocateMsiRegion, polledMsix } from './msix-region.ts';
import { CONFIG_BYTES, ISR, ModernDevice, type ModernDeviceOptions } from './modern-device.ts';

const SHORT = expect.objectContaining({ code: 'ERR_DEVICE_CONFIG' });
const ADDRESSES = { size: 8, words: Uint32Array.of(0x1000, 1, 0x2000, 2, 0x3000, 3) };

function open(options: ModernDeviceOptions = {}): { device: ModernDevice; transport: PciModernTransport } {
  const device = new ModernDevice(options);
  return { device, transport: new PciModernTransport(device, NO_MSIX) };
}

function withFeatures(...bits: number[]): ReturnType<typeof open> {
  const features = FeatureSet.of(VIRTIO_F_VERSION_1, ...bits);
  const opened = open({ features });
  opened.transport.writeDriverFeatures(features);
  return opened;
}

/** A transport with MSI-X, whose messages are written to memory at `address`. */
function withMsix(options: ModernDeviceOptions = {}): {
  device: ModernDevice;
  transport: PciModernTransport;
  memory: GuestMemory;
  address: number;
} {
  const device = new ModernDevice(options);
  const { memory, msix } = polledMsix(device);
  const transport = new PciModernTransport(device, msix);
  return { device, transport, memory, address: allocateMsiRegion(transport, memory).address };
}

describeTransport('PciModernTransport', {
  setup: () => ({ transport: open().transport, configBytes: CONFIG_BYTES }),
});

describe('PciModernTransport', () => {
  it('has the queues that the device has once features are accepted: QEMU adds pairs with NET_MQ', () => {
    const { device, transport } = open();
    expect(transport.queueCount).toBe(3);
    transport.writeStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver);
    device.registers.poke(0x12, 2, 9);
    transport.writeStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk);
    expect(transport.queueCount).toBe(9);
    device.registers.poke(0x12, 2, 1025);
    transport.writeStatus(0);
    expect(() => transport.writeStatus(DeviceStatus.FeaturesOk)).toThrow(SHORT);
  });

  it('reads all feature bits, and hides those of its caller', () => {
    const features = FeatureSet.of(0, 31, VIRTIO_F_VERSION_1, VIRTIO_F_RING_PACKED, 63);
    const device = new ModernDevice({ features });
    expect(new PciModernTransport(device, NO_MSIX).readDeviceFeatures().bits).toBe(features.bits);
    const hidden = FeatureSet.of(31, VIRTIO_F_RING_PACKED);
    const transport = new PciModernTransport(device, NO_MSIX, hidden);
    expect(transport.readDeviceFeatures().bits).toBe(FeatureSet.of(0, VIRTIO_F_VERSION_1, 63).bits);
    transport.writeDriverFeatures(FeatureSet.of(0, VIRTIO_F_VERSION_1, 63));
    expect(device.driverFeatures).toBe(FeatureSet.of(0, VIRTIO_F_VERSION_1, 63).bits);
  });

  it.each([
    [0x38, []],
    [0x3a, [VIRTIO_F_NOTIF_CONFIG_DATA]],
    [0x3c, [VIRTIO_F_NOTIF_CONFIG_DATA, VIRTIO_F_RING_RESET]],
  ])('hides features whose registers are not in %d bytes', (commonBytes, shown) => {
    const features = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_F_NOTIF_CONFIG_DATA, VIRTIO_F_RING_RESET);
    const offered = open({ features, commonBytes }).transport.readDeviceFeatures();
    expect([...offered.without(VIRTIO_F_VERSION_1)]).toEqual(shown);
  });

  it('writes the addresses of a queue, and then enables it', () => {
    const { device, transport } = open();
    expect([0, 1, 2, 3].map((queue) => transport.maxQueueSize(queue))).toEqual([16, 32, 64, 0]);
    device.registers.log.length = 0;
    transport.enableQueue(1, ADDRESSES);
    expect(device.registers.log[0]).toBe('0x16=0x1/2');
    expect(device.registers.log.at(-1)).toBe('0x1c=0x1/2');
    expect(device.queueRegister(1, 0x18, 2)).toBe(8);
    expect([0, 1, 2, 3, 4, 5].map((word) => device.queueRegister(1, 0x20 + 4 * word, 4))).toEqual([...ADDRESSES.words]);
    expect(transport.isQueueReset(1)).toBe(false);
    expect(transport.isQueueReset(0)).toBe(true);
    transport.writeStatus(0);
    expect(transport.isQueueReset(1)).toBe(true);
  });

  it('notifies each queue through its own register', () => {
    const { device, transport } = open({ notifyMultiplier: 16, notifyOff: (queue) => 5 - queue });
    for (const queue of [0, 2]) transport.enableQueue(queue, ADDRESSES);
    device.registers.log.length = 0;
    transport.notify(0, 7);
    transport.notify(2, 7);
    expect(device.registers.log).toEqual(['0x350=0x0/2', '0x330=0x2/2']);
  });

  it("notifies with the place of the next buffer, and with the device's own number of a queue", () => {
    const withData = withFeatures(VIRTIO_F_NOTIFICATION_DATA);
    withData.transport.enableQueue(1, ADDRESSES);
    withData.device.registers.log.length = 0;
    withData.transport.notify(1, 0x8003);
    expect(withData.device.registers.log).toEqual(['0x304=0x80030001/4']);

    const named = withFeatures(VIRTIO_F_NOTIF_CONFIG_DATA);
    named.transport.enableQueue(1, ADDRESSES);
    named.device.registers.log.length = 0;
    named.transport.notify(1, 3);
    expect(named.device.registers.log).toEqual(['0x304=0x701/2']);

    const both = withFeatures(VIRTIO_F_NOTIFICATION_DATA, VIRTIO_F_NOTIF_CONFIG_DATA);
    both.transport.enableQueue(1, ADDRESSES);
    both.device.registers.log.length = 0;
    both.transport.notify(1, 3);
    expect(both.device.registers.log).toEqual(['0x304=0x30701/4']);
  });

  it.each<[string, ModernDeviceOptions, number[]]>([
    ['at the end of the window', { notifyBytes: 8, notifyOff: () => 2 }, []],
    ['beyond the end', { notifyMultiplier: 0x8000_0000, notifyOff: () => 0xffff }, []],
    ['partly beyond the end', { notifyBytes: 2, notifyOff: () => 0 }, [VIRTIO_F_NOTIFICATION_DATA]],
    ['not aligned', { notifyMultiplier: 2, notifyOff: () => 1 }, [VIRTIO_F_NOTIFICATION_DATA]],
  ])('refuses a queue with its notification register %s', (_, options, bits) => {
    const features = FeatureSet.of(VIRTIO_F_VERSION_1, ...bits);
    const { device, transport } = open({ ...options, features });
    transport.writeDriverFeatures(features);
    const refusal = expect.objectContaining({ code: 'ERR_DEVICE_CONFIG', message: expect.stringMatching(/queue 0/) });
    expect(() => transport.enableQueue(0, ADDRESSES)).toThrow(refusal);
    expect(device.queueRegister(0, 0x1c, 2)).toBe(0);
  });

  it('resets one queue with RING_RESET, and reports when the device has finished', () => {
    const { device, transport } = withFeatures(VIRTIO_F_RING_RESET);
    transport.enableQueue(2, ADDRESSES);
    transport.resetQueue(2);
    expect(device.queueRegister(2, 0x3a, 2)).toBe(1);
    expect(transport.isQueueReset(2)).toBe(false);
    device.setQueueRegister(2, 0x1c, 0);
    expect(transport.isQueueReset(2)).toBe(false);
    device.setQueueRegister(2, 0x3a, 0);
    expect(transport.isQueueReset(2)).toBe(true);
    transport.writeStatus(0);
    expect(() => transport.resetQueue(2)).toThrow(TypeError);
  });

  it('C11 reads and writes device configuration only within its window', () => {
    const { device, transport } = open();
    const bytes = new Uint8Array(CONFIG_BYTES);
    transport.readConfig(0, bytes);
    expect([...bytes]).toEqual([0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17]);
    device.registers.log.length = 0;
    transport.writeConfig(6, Uint8Array.of(9));
    expect(device.registers.log).toEqual(['0x206=0x9/1']);
    for (const offset of [-1, 1, 8, 0x1000]) {
      expect(() => transport.readConfig(offset, new Uint8Array(8))).toThrow(SHORT);
      expect(() => transport.writeConfig(offset, new Uint8Array(8))).toThrow(SHORT);
    }
    expect(device.registers.log).toHaveLength(1);
  });

  it('refuses a device with more than 1024 queues', () => {
    const device = new ModernDevice();
    device.registers.poke(0x12, 2, 0xffff);
    expect(() => new PciModernTransport(device, NO_MSIX)).toThrow(/65535 queues/);
  });

  it('polls the ISR register, which a read clears', () => {
    const { device, transport } = open();
    expect(transport.interruptMessages).toBeUndefined();
    device.registers.poke(ISR, 1, 1);
    expect([transport.wait(0), transport.wait(0)]).toEqual(['notified', 'timeout']);
    const start = performance.now();
    expect(transport.wait(20)).toBe('timeout');
    expect(performance.now() - start).toBeGreaterThanOrEqual(20);
  });

  it.each([
    ['nothing', 0, 'timeout', false],
    ['a queue', 1, 'notified', false],
    ['the configuration', 2, 'notified', true],
    ['both', 3, 'notified', true],
  ] as const)('tells a change of the configuration by the ISR register: %s', (_, causes, result, isChanged) => {
    const { device, transport } = open();
    device.registers.poke(ISR, 1, causes);
    expect(transport.takeConfigChange(), 'not before a wait').toBe(false);
    expect([transport.wait(0), transport.takeConfigChange(), transport.takeConfigChange()]).toEqual([
      result,
      isChanged,
      false,
    ]);
  });

  it('tells a change of the configuration by the vector 0 of MSI-X, until it is asked for', () => {
    const { transport, memory, address } = withMsix();
    transport.enableQueue(0, ADDRESSES);
    memory.u32[address / 4 + 1] = 1;
    expect([transport.wait(0), transport.takeConfigChange()]).toEqual(['notified', false]);
    memory.u32[address / 4] = 1;
    expect(transport.wait(0)).toBe('notified');
    memory.u32[address / 4 + 1] = 1;
    expect(transport.wait(0)).toBe('notified');
    expect([transport.takeConfigChange(), transport.takeConfigChange()]).toEqual([true, false]);
  });

  it('tells a change once that came by both ways, and none from before a reset', () => {
    const { device, transport, memory, address } = withMsix();
    const change = (): void => {
      device.registers.poke(ISR, 1, 2);
      expect(transport.wait(0)).toBe('notified');
    };
    change();
    transport.enableQueue(0, ADDRESSES);
    memory.u32[address / 4] = 1;
    expect(transport.wait(0)).toBe('notified');
    expect([transport.takeConfigChange(), transport.takeConfigChange()]).toEqual([true, false]);
    memory.u32[address / 4] = 1;
    expect(transport.wait(0)).toBe('notified');
    transport.writeStatus(0);
    expect(transport.takeConfigChange()).toBe(false);
    change();
    transport.writeStatus(0);
    expect(transport.takeConfigChange()).toBe(false);
  });

  it('waits for MSI-X messages from the first queue to the next reset', () => {
    const { device, transport, memory, address } = withMsix();
    transport.enableQueue(0, ADDRESSES);
    transport.enableQueue(1, ADDRESSES);
    expect(device.registers.peek(0x10, 2)).toBe(0);
    expect([0, 1, 2].map((queue) => device.queueRegister(queue, 0x1a, 2))).toEqual([1, 1, 0xffff]);
    device.registers.poke(ISR, 1, 1);
    expect(transport.wait(0)).toBe('timeout');
    memory.u32[address / 4 + 1] = 1;
    expect([transport.wait(0), transport.wait(0)]).toEqual(['notified', 'timeout']);
    transport.writeStatus(0);
    expect(device.config.peek(0x42, 2) & 0x8000).toBe(0);
    expect(transport.wait(0)).toBe('notified');
  });

  it.each([0, 1])('refuses a device that accepts only %d vectors', (vectors) => {
    const { transport } = withMsix({ vectors });
    expect(() => transport.enableQueue(0, ADDRESSES)).toThrow(
      expect.objectContaining({ code: 'ERR_DEVICE_CONFIG', message: expect.stringContaining(`vector ${vectors}`) }),
    );
  });

  it('reports that a device is gone: by the result of a wait, by an error elsewhere', () => {
    const { device, transport } = open();
    transport.enableQueue(0, ADDRESSES);
    device.isGone = true;
    expect(transport.wait(1000)).toBe('lost');
    const lost = expect.objectContaining({ code: 'ERR_DEVICE_LOST' });
    expect(() => transport.readStatus()).toThrow(lost);
    expect(() => transport.writeStatus(0)).toThrow(lost);
    expect(() => transport.notify(0, 0)).toThrow(lost);
    transport.dispose();
  });

  it('can be disposed of with MSI-X enabled when the device is gone', () => {
    const { device, transport } = withMsix();
    transport.enableQueue(0, ADDRESSES);
    device.isGone = true;
    transport.dispose();
    expect(() => transport.readStatus()).toThrow(/pulled out/);
  });
});
