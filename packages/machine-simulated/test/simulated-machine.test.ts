import {
  BLOCK_FEATURES,
  BLOCK_SETTINGS,
  VIRTIO_BLK_F_SEG_MAX,
  BlockDriver,
  readBlockConfig,
  VIRTIO_BLK_T_IN,
  VIRTIO_BLK_T_OUT,
} from '@virtio-platform/device-block';
import { IDENTITY_TRAITS, ringOptions } from '@virtio-platform/conformance/testing';
import type { BootedMachine } from '@virtio-platform/core';
import { DeviceStatus, initializeDevice, startDevice } from '@virtio-platform/core/device';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import {
  FeatureSet,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '@virtio-platform/core/features';
import type { NegotiationResult } from '@virtio-platform/core/negotiation';
import { SplitVirtqueue } from '@virtio-platform/core/queue';
import type { SimulatedOptions } from '@virtio-platform/machine-simulated';
import { describe, expect, it } from 'vitest';
import { bootMachine } from './boot-machine.ts';
import { testMachine } from './test-machine.ts';

const OFFERS = FeatureSet.of(
  VIRTIO_F_VERSION_1,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
  VIRTIO_BLK_F_SEG_MAX,
);

function boot(options: Partial<SimulatedOptions> = {}, offers: FeatureSet = OFFERS): Promise<BootedMachine> {
  return bootMachine({ device: { offers }, options });
}

function negotiate({ transport }: BootedMachine): NegotiationResult {
  return initializeDevice(transport, {
    deviceFeatures: BLOCK_FEATURES,
    supported: OFFERS,
    traits: IDENTITY_TRAITS,
    rules: [],
    privilege: 'kernel',
  });
}

/** Brings the device up and writes and reads one block; returns the status of both. */
function writeAndRead(machine: BootedMachine): number[] {
  const { transport, memory } = machine;
  const { accepted } = negotiate(machine);
  const mapping = new DirectDmaMapping(memory, { path: 'identity', capacity: 1024 });
  const queue = new SplitVirtqueue(memory, mapping, ringOptions({ size: 16, eventIdx: true, indirect: 8 }));
  const config = readBlockConfig({ transport, accepted, byteOrder: 'little' });
  expect(config.capacity).toBe(1024 * 1024);
  const driver = new BlockDriver(memory, queue, mapping, config, {
    depth: 2,
    maxBytes: 4096,
    buffers: 'streaming',
    byteOrder: 'little',
  });
  transport.enableQueue(0, queue.addresses);
  startDevice(transport);
  const statuses: number[] = [];
  for (const type of [VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_IN]) {
    const slot = driver.take();
    memory.u8.fill(type === VIRTIO_BLK_T_OUT ? 0x5a : 0, driver.dataAddress(slot), driver.dataAddress(slot) + 4096);
    driver.submit(slot, type, 8, 4096);
    if (driver.publish()) transport.notify(0, 0);
    for (let i = 0; i < 100 && driver.inFlight > 0; i++) {
      if (driver.poll() > 0) statuses.push(driver.completedStatus[0]!);
      else if (queue.enableNotifications()) transport.wait(50);
    }
    if (type === VIRTIO_BLK_T_IN) expect(memory.u8[driver.dataAddress(slot) + 4095]).toBe(0x5a);
    driver.give(slot);
  }
  return statuses;
}

describe.each([
  { device: 'same-thread', transport: 'pci' },
  { device: 'same-thread', transport: 'mmio' },
  { device: 'worker', transport: 'pci' },
] as const)('the embedded machine, device in $device, on $transport', (place) => {
  it('does block I/O', async () => {
    expect(writeAndRead(await boot(place))).toEqual([0, 0]);
  });

  it('clears FEATURES_OK for a driver that leaves ACCESS_PLATFORM out', async () => {
    const { transport } = await boot(place);
    transport.writeStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver);
    transport.writeDriverFeatures(OFFERS.without(VIRTIO_F_ACCESS_PLATFORM));
    transport.writeStatus(transport.readStatus() | DeviceStatus.FeaturesOk);
    expect(transport.readStatus() & DeviceStatus.FeaturesOk).toBe(0);
  });

  it('does not start for a driver that skips FEATURES_OK', async () => {
    const { transport } = await boot(place);
    transport.writeDriverFeatures(FeatureSet.EMPTY);
    transport.writeStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.DriverOk);
    expect(transport.readStatus() & DeviceStatus.DriverOk).toBe(0);
  });

  it('clears FEATURES_OK for a feature that it does not offer', async () => {
    const { transport } = await boot(place);
    transport.writeDriverFeatures(OFFERS.with(100));
    transport.writeStatus(DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk);
    expect(transport.readStatus() & DeviceStatus.FeaturesOk).toBe(0);
  });

  it('negotiates the same after a reset', async () => {
    const booted = await boot(place);
    const first = negotiate(booted).accepted;
    expect(negotiate(booted).accepted.equals(first)).toBe(true);
    expect(first.equals(OFFERS)).toBe(true);
  });

  it('asks for a reset when a queue is not as it may be', async () => {
    const { transport } = await boot(place);
    transport.enableQueue(0, { size: 3, words: new Uint32Array(6) });
    expect(transport.readStatus() & DeviceStatus.NeedsReset).toBe(DeviceStatus.NeedsReset);
  });

  it('records what a rogue device does beyond memory, and changes nothing', async () => {
    const rogue = [{ after: 1, access: 'write', address: 0xffff_0000_0000n, length: 64 }] as const;
    const booted = await boot({ ...place, rogue, onFault: 'silent' });
    expect(writeAndRead(booted)).toEqual([0, 0]);
    booted.transport.readStatus();
    expect(booted.faults.entries).toEqual([
      { address: 0xffff_0000_0000n, length: 64, access: 'write', cause: 'outside-memory' },
    ]);
  });
});

describe('the embedded machine', () => {
  it('refuses a transitional device that offers ACCESS_PLATFORM', async () => {
    const interfaces = { interface: 'transitional', driverInterface: 'legacy' } as const;
    const unbooted = testMachine({ device: { ...interfaces, offers: OFFERS } });
    await expect(unbooted.boot()).rejects.toMatchObject({ code: 'ERR_DEVICE_IMPOSSIBLE' });
  });

  it('refuses a transitional device on mmio, whose Version states one interface', async () => {
    const interfaces = { interface: 'transitional', driverInterface: 'modern' } as const;
    const unbooted = testMachine({ device: interfaces, options: { transport: 'mmio' } });
    await expect(unbooted.boot()).rejects.toMatchObject({
      code: 'ERR_DEVICE_IMPOSSIBLE',
      message: expect.stringContaining('Version is 1 or 2'),
    });
  });

  it('leaves no thread behind when the device cannot be made there', async () => {
    const before = process.getActiveResourcesInfo().length;
    const settings = BLOCK_SETTINGS.parse({ capacity: 512, image: '/nonexistent/folder/disk.img' });
    const unbooted = testMachine({ device: { offers: OFFERS, settings }, options: { device: 'worker' } });
    await expect(unbooted.boot()).rejects.toMatchObject({ code: 'ERR_DEVICE_IMAGE' });
    expect(process.getActiveResourcesInfo().length).toBeLessThanOrEqual(before + 1);
  });
});
