import { describeTransport } from '@virtio-platform/conformance';
import { DeviceStatus } from '@virtio-platform/core/device';
import {
  FeatureSet,
  VIRTIO_F_ADMIN_VQ,
  VIRTIO_F_NOTIF_CONFIG_DATA,
  VIRTIO_F_NOTIFICATION_DATA,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_SR_IOV,
  VIRTIO_F_VERSION_1,
} from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';
import { MmioModernTransport } from '../src/mmio-modern-transport.ts';
import { MMIO } from '../src/mmio-registers.ts';
import { CONFIG_BYTES, MmioDevice, type MmioDeviceOptions } from './mmio-device.ts';

const ADDRESSES = { size: 8, words: Uint32Array.of(0x1000, 1, 0x2000, 2, 0x3000, 3) };

function open(options: MmioDeviceOptions = {}): { device: MmioDevice; transport: MmioModernTransport } {
  const device = new MmioDevice(options);
  const transport = new MmioModernTransport(device);
  device.log.length = 0;
  return { device, transport };
}

function withFeatures(...bits: number[]): ReturnType<typeof open> {
  const features = FeatureSet.of(VIRTIO_F_VERSION_1, ...bits);
  const opened = open({ features });
  opened.transport.writeDriverFeatures(features);
  return opened;
}

function refusal(text: RegExp): unknown {
  return expect.objectContaining({ code: 'ERR_DEVICE_CONFIG', message: expect.stringMatching(text) });
}

describeTransport('MmioModernTransport', {
  setup: () => ({ transport: open().transport, configBytes: CONFIG_BYTES }),
});

describe('MmioModernTransport', () => {
  it('reads the first registers in the order of the specification, and no other before', () => {
    const device = new MmioDevice();
    expect(new MmioModernTransport(device).deviceId).toBe(2);
    expect(device.log).toEqual(['r0/4', 'r4/4', 'r8/4']);
  });

  it.each<[string, MmioDeviceOptions, RegExp]>([
    ['no device', { lies: { [MMIO.MagicValue]: () => 0 } }, /MagicValue is 0x0, not 0x74726976/],
    ['a device that is frozen', { lies: { [MMIO.MagicValue]: () => 0xffff_ffff } }, /MagicValue is 0xffffffff/],
    ['an unknown version', { version: 3 }, /version 3 of virtio-mmio; 1 and 2 exist/],
    ['a legacy device', { version: 1 }, /a legacy device, and a modern driver/],
    ['an empty slot', { lies: { [MMIO.DeviceID]: () => 0 } }, /slot 2 is empty/],
    ['a window that is too short', { bytes: 0x80 }, /128 bytes of registers, fewer than 256/],
  ])('refuses %s', (_, options, message) => {
    const device = new MmioDevice(options);
    expect(() => new MmioModernTransport(device)).toThrow(refusal(message));
    expect(device.log.every((access) => ['r0/4', 'r4/4', 'r8/4'].includes(access))).toBe(true);
  });

  it('reads all feature bits, and hides those of its caller', () => {
    const features = FeatureSet.of(0, 31, VIRTIO_F_VERSION_1, VIRTIO_F_RING_PACKED, 63, 70, 127);
    const device = new MmioDevice({ features });
    expect(new MmioModernTransport(device).readDeviceFeatures().bits).toBe(features.bits);
    const hidden = FeatureSet.of(31, VIRTIO_F_RING_PACKED);
    const transport = new MmioModernTransport(device, { hidden });
    expect(transport.readDeviceFeatures().bits).toBe(features.minus(hidden).bits);
    transport.writeDriverFeatures(FeatureSet.of(0, VIRTIO_F_VERSION_1, 63));
    expect(device.driverFeatures).toBe(FeatureSet.of(0, VIRTIO_F_VERSION_1, 63).bits);
  });

  it('takes words that repeat bits 32 to 63 for words that the device does not have, and writes none of them', () => {
    const features = FeatureSet.of(5, VIRTIO_F_VERSION_1, VIRTIO_F_RING_PACKED);
    const second = features.bits >> 32n;
    const { device, transport } = open({
      features: new FeatureSet(features.bits | (second << 64n) | (second << 96n)),
    });
    expect(transport.readDeviceFeatures().bits).toBe(features.bits);
    device.log.length = 0;
    transport.writeDriverFeatures(features);
    expect(device.log).toEqual(['w24=0/4', 'w20=20/4', 'w24=1/4', 'w20=5/4']);
  });

  it('cannot carry what has no register', () => {
    const { carries } = open().transport;
    expect([VIRTIO_F_SR_IOV, VIRTIO_F_NOTIF_CONFIG_DATA, VIRTIO_F_ADMIN_VQ].map((bit) => carries.has(bit))).toEqual([
      false,
      false,
      false,
    ]);
    expect(carries.has(VIRTIO_F_RING_RESET)).toBe(true);
  });

  it('counts its queues once, and again once features are accepted', () => {
    const sizes = [16, 32, 64];
    let isTold = false;
    const lies = { [MMIO.QueueNumMax]: (truth: number) => (isTold ? 0 : truth) };
    const { device, transport } = open({ lies });
    expect([transport.queueCount, ...sizes.map((_, queue) => transport.maxQueueSize(queue))]).toEqual([3, ...sizes]);
    const reads = device.log.length;
    expect([transport.maxQueueSize(3), device.log.length]).toEqual([0, reads]);
    isTold = true;
    expect(transport.queueCount).toBe(3);
    transport.writeStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk);
    expect([transport.queueCount, transport.maxQueueSize(0)]).toEqual([0, 0]);
  });

  it('ends with a device that has queues without end, or with more entries than there can be', () => {
    const { transport } = open({ lies: { [MMIO.QueueNumMax]: () => 256 } });
    expect(transport.queueCount).toBe(1024);
    const long = open({ lies: { [MMIO.QueueNumMax]: () => 0x8001 } });
    expect(() => long.transport.queueCount).toThrow(refusal(/32769 entries in queue 0, more than 32768/));
  });

  it('sets a queue up in the order of the specification', () => {
    const { device, transport } = open();
    transport.enableQueue(1, ADDRESSES);
    expect(device.log).toEqual([
      'w30=1/4',
      'r44/4',
      'w38=8/4',
      'w80=1000/4',
      'w84=1/4',
      'w90=2000/4',
      'w94=2/4',
      'wa0=3000/4',
      'wa4=3/4',
      'w44=1/4',
      'r44/4',
    ]);
    expect([transport.isQueueReset(1), transport.isQueueReset(0)]).toEqual([false, true]);
    transport.writeStatus(0);
    expect(transport.isQueueReset(1)).toBe(true);
  });

  it('refuses a device that has a queue enabled before its driver did', () => {
    const { device, transport } = open();
    device.setQueueRegister(0, MMIO.QueueReady, 1);
    expect(() => transport.enableQueue(0, ADDRESSES)).toThrow(refusal(/1, not 0, in QueueReady of queue 0 before/));
    expect(device.log.some((access) => access.startsWith('w38'))).toBe(false);
  });

  it('passes on what a driver does that enables a queue twice, and no other queue', () => {
    const { device, transport } = open();
    transport.enableQueue(0, ADDRESSES);
    transport.enableQueue(0, { ...ADDRESSES, size: 4 });
    expect(device.queueRegister(0, MMIO.QueueNum)).toBe(4);
    device.setQueueRegister(1, MMIO.QueueReady, 1);
    expect(() => transport.enableQueue(1, ADDRESSES)).toThrow(refusal(/queue 1 before/));
    transport.writeStatus(0);
    device.setQueueRegister(0, MMIO.QueueReady, 1);
    expect(() => transport.enableQueue(0, ADDRESSES)).toThrow(refusal(/queue 0 before/));
  });

  it.each([0, 2, 0xffff_ffff])('refuses a device whose QueueReady reads back %d', (value) => {
    let reads = 0;
    const { transport } = open({ lies: { [MMIO.QueueReady]: (truth) => (reads++ === 0 ? truth : value) } });
    expect(() => transport.enableQueue(2, ADDRESSES)).toThrow(refusal(/not 1, in QueueReady of queue 2 after/));
  });

  it('notifies through one register, with the place of the next buffer where that was negotiated', () => {
    const { device, transport } = withFeatures();
    device.log.length = 0;
    transport.notify(2, 7);
    const withData = withFeatures(VIRTIO_F_NOTIFICATION_DATA);
    withData.device.log.length = 0;
    withData.transport.notify(1, 0x8003);
    expect([device.log, withData.device.log]).toEqual([['w50=2/4'], ['w50=80030001/4']]);
  });

  it('resets one queue with RING_RESET, and reports when the device has finished', () => {
    const { device, transport } = withFeatures(VIRTIO_F_RING_RESET);
    transport.enableQueue(2, ADDRESSES);
    transport.resetQueue(2);
    expect([device.queueRegister(2, MMIO.QueueReset), transport.isQueueReset(2)]).toEqual([1, false]);
    device.setQueueRegister(2, MMIO.QueueReset, 0);
    device.setQueueRegister(2, MMIO.QueueReady, 0);
    expect(transport.isQueueReset(2)).toBe(true);
    transport.enableQueue(2, ADDRESSES);
    expect(transport.isQueueReset(2)).toBe(false);
  });

  it('refuses a device that ends the reset of a queue and has it enabled', () => {
    const { device, transport } = withFeatures(VIRTIO_F_RING_RESET);
    transport.enableQueue(0, ADDRESSES);
    transport.resetQueue(0);
    device.setQueueRegister(0, MMIO.QueueReset, 0);
    expect(() => transport.isQueueReset(0)).toThrow(refusal(/1, not 0, in QueueReady of queue 0 after it was reset/));
  });

  it.each<[number, number, string[]]>([
    [0, 1, ['r100/1']],
    [2, 2, ['r102/2']],
    [1, 2, ['r101/1', 'r102/1']],
    [4, 4, ['r104/4']],
    [2, 4, ['r102/1', 'r103/1', 'r104/1', 'r105/1']],
    [0, 8, ['r100/4', 'r104/4']],
    [0, 6, ['r100/1', 'r101/1', 'r102/1', 'r103/1', 'r104/1', 'r105/1']],
  ])('reads the field at byte %d of %d bytes by the accesses of its width', (offset, length, accesses) => {
    const { device, transport } = open();
    const target = new Uint8Array(length);
    transport.readConfig(offset, target);
    expect([...target]).toEqual(Array.from({ length }, (_, i) => 0x10 + offset + i));
    expect(device.log).toEqual(accesses);
  });

  it('writes a field by the accesses of its width', () => {
    const { device, transport } = open();
    transport.writeConfig(4, Uint8Array.of(0xfe, 0xca, 0xad, 0xde));
    transport.writeConfig(0, Uint8Array.of(7));
    expect(device.log).toEqual(['w104=deadcafe/4', 'w100=7/1']);
    expect(() => transport.writeConfig(254, new Uint8Array(4))).toThrow(refusal(/no bytes 254 to 257/));
  });

  it('has the generation of the configuration', () => {
    const { device, transport } = open();
    device.generation = 0x1_0000;
    expect(transport.configGeneration()).toBe(0x1_0000);
  });

  it('refuses a status of more than 8 bits, and takes all ones for a device that is frozen', () => {
    let status = 0x100;
    const { transport } = open({ lies: { [MMIO.Status]: () => status } });
    expect(() => transport.readStatus()).toThrow(refusal(/the Status 0x100/));
    status = 0xffff_ffff;
    expect(transport.readStatus()).toBe(0xff);
  });

  it.each<[number, string, boolean, number]>([
    [0, 'timeout', false, 0],
    [1, 'notified', false, 0],
    [2, 'notified', true, 0],
    [3, 'notified', true, 0],
    [0xf0, 'timeout', false, 0xf0],
    [0xf3, 'notified', true, 0xf0],
  ])('takes the interrupt 0x%x, and acknowledges what is defined', (interrupts, result, isChanged, left) => {
    const { device, transport } = open();
    device.interrupts = interrupts;
    expect(transport.takeConfigChange(), 'not before a wait').toBe(false);
    expect([transport.wait(0), transport.takeConfigChange(), transport.takeConfigChange()]).toEqual([
      result,
      isChanged,
      false,
    ]);
    expect(device.interrupts).toBe(left);
  });

  it('loses no interrupt over a bus that posts writes: the acknowledgement is taken before a wait returns', () => {
    const device = new MmioDevice();
    const posted: Parameters<MmioDevice['write']>[] = [];
    const transport = new MmioModernTransport({
      name: device.name,
      size: device.size,
      write: (...access) => void posted.push(access),
      read(offset, width) {
        for (const access of posted.splice(0)) device.write(...access);
        return device.read(offset, width);
      },
    });
    device.interrupts = 1;
    expect(transport.wait(0)).toBe('notified');
    // The device uses another buffer as soon as the driver looks at its ring.
    device.interrupts |= 1;
    expect([transport.wait(0), transport.wait(0)]).toEqual(['notified', 'timeout']);
  });

  it('forgets a change of the configuration with a reset, and finds no interrupt of a frozen device', () => {
    const { device, transport } = open();
    device.interrupts = 2;
    transport.wait(0);
    transport.writeStatus(0);
    expect(transport.takeConfigChange()).toBe(false);
    device.interrupts = 0xffff_ffff;
    expect(transport.wait(0)).toBe('timeout');
  });

  it('waits for the signal of the machine, where it has one, before it reads a register', () => {
    const device = new MmioDevice();
    let isAsserted = false;
    const waited: number[] = [];
    const wait = (timeoutMs: number): boolean => (waited.push(timeoutMs), isAsserted);
    const transport = new MmioModernTransport(device, { signal: { wait } });
    device.log.length = 0;
    device.interrupts = 1;
    expect([transport.wait(7), device.log, transport.watch]).toEqual(['timeout', [], undefined]);
    isAsserted = true;
    expect([transport.wait(9), transport.wait(0), waited]).toEqual(['notified', 'timeout', [7, 9, 0]]);
  });

  it('reports that a device is gone: by the result of a wait, by an error elsewhere', () => {
    const { device, transport } = open();
    device.isGone = true;
    expect(transport.wait(1000)).toBe('lost');
    const lost = expect.objectContaining({ code: 'ERR_DEVICE_LOST' });
    expect(() => transport.readStatus()).toThrow(lost);
    expect(() => transport.writeStatus(0)).toThrow(lost);
    expect(() => transport.notify(0, 0)).toThrow(lost);
    transport.dispose();
  });
});

describe('a shared memory region', () => {
  const LAST = (1n << 64n) - 1n;

  it('is where the device says, and nowhere for a number that it does not have', () => {
    const { device, transport } = open();
    device.sharedMemory.set(3, [0x1_8000_0000n, 0x4000_0000n]);
    expect(transport.sharedMemory(3)).toEqual({ address: 0x1_8000_0000n, length: 0x4000_0000n });
    expect(transport.sharedMemory(0)).toBeUndefined();
    expect(device.log.slice(0, 5)).toEqual(['wac=3/4', 'rb0/4', 'rb4/4', 'rb8/4', 'rbc/4']);
    expect(() => transport.sharedMemory(256)).toThrow(RangeError);
  });

  it.each<[string, bigint, bigint]>([
    ['without a length', 0n, LAST],
    ['without an address', LAST, 4096n],
    ['that ends behind the last address', LAST - 4095n, 4097n],
  ])('is refused %s', (_, address, length) => {
    const { device, transport } = open();
    device.sharedMemory.set(1, [address, length]);
    expect(() => transport.sharedMemory(1)).toThrow(refusal(/shared memory region 1/));
  });
});
