import { VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_OK, VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT } from '@virtio-platform/device-block';
import { acceptFeatures, ringOptions } from '@virtio-platform/conformance/testing';
import type { BootedMachine } from '@virtio-platform/core';
import { FaultLog, PhysicalTranslation, TranslatedAddressSpace } from '@virtio-platform/core/address-space';
import { checkDevice, DeviceStatus, resetDevice, startDevice } from '@virtio-platform/core/device';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { openVirtqueue, ScatterList, UsedBatch, type Virtqueue } from '@virtio-platform/core/queue';
import type { SimulatedOptions } from '@virtio-platform/machine-simulated';
import { describe, expect, it } from 'vitest';
import { spaceWithConsequence } from '../src/fault-consequence.ts';
import { bootMachine } from './boot-machine.ts';

const MEMORY = 4 * 1024 * 1024;
const HEADER = 0x10_0000;
const DATA = 0x10_1000;
const STATUS = 0x10_2000;
const SECTOR = 512;
const UNTOUCHED = 0x77;

/**
 * A driver whose descriptors may point where there is no memory: the ring does not look, the device is stopped there.
 */
class AstrayDriver {
  readonly machine: BootedMachine;
  queue!: Virtqueue;

  constructor(booted: BootedMachine) {
    this.machine = booted;
    this.start();
  }

  start(): void {
    const { transport, memory } = this.machine;
    acceptFeatures(transport, FeatureSet.of(VIRTIO_F_VERSION_1));
    const mapping = new DirectDmaMapping(memory, { path: 'physical', capacity: 64 });
    this.queue = openVirtqueue('split', memory, mapping, ringOptions());
    transport.enableQueue(0, this.queue.addresses);
    startDevice(transport);
  }

  /**
   * Sends a request for the first sector with its data at `address`, and returns its status once it is back, -1 if it
   * never is.
   */
  request(type: number, address: number): number {
    const { memory, transport } = this.machine;
    memory.u32.set([type, 0, 0, 0], HEADER / 4);
    memory.u8[STATUS] = UNTOUCHED;
    const list = new ScatterList(3);
    list.addReadable(HEADER, 16);
    // As if it had been mapped there: a mapping would not let it through.
    const isRead = type === VIRTIO_BLK_T_IN;
    if (isRead) list.addWritable(DATA, SECTOR);
    else list.addReadable(DATA, SECTOR);
    list.premapped[1] = 1;
    list.words.set([address, 0], 2);
    list.addWritable(STATUS, 1);
    expect(this.queue.add(list)).toBeGreaterThanOrEqual(0);
    this.queue.publish();
    transport.notify(0, this.queue.nextAvailable);
    const batch = new UsedBatch(1);
    for (let tries = 0; tries < 20 && this.queue.takeUsed(batch) === 0; tries++) transport.wait(20);
    return batch.count === 0 ? -1 : memory.u8[STATUS];
  }
}

type Place = Pick<SimulatedOptions, 'device' | 'transport'>;

async function boot(place: Place, onFault: SimulatedOptions['onFault']): Promise<AstrayDriver> {
  const offers = FeatureSet.of(VIRTIO_F_VERSION_1);
  return new AstrayDriver(await bootMachine({ memory: MEMORY, device: { offers }, options: { ...place, onFault } }));
}

/** What the first sector has on disk. */
function sector(driver: AstrayDriver): number | undefined {
  driver.machine.memory.u8.fill(0x55, DATA, DATA + SECTOR);
  expect(driver.request(VIRTIO_BLK_T_IN, DATA)).toBe(VIRTIO_BLK_S_OK);
  return driver.machine.memory.u8[DATA];
}

describe.each([
  { device: 'same-thread', transport: 'pci' },
  { device: 'same-thread', transport: 'mmio' },
  { device: 'worker', transport: 'pci' },
] as const)('a device in $device on $transport that is stopped at an access', (place) => {
  it.each([
    ['zeros', 0],
    ['silent', 0xff],
  ] as const)('seems to have done it, and has %s on disk', async (onFault, filler) => {
    const driver = await boot(place, onFault);
    driver.machine.memory.u8.fill(0x11, DATA, DATA + SECTOR);
    expect(driver.request(VIRTIO_BLK_T_OUT, DATA)).toBe(VIRTIO_BLK_S_OK);
    expect(driver.request(VIRTIO_BLK_T_OUT, MEMORY)).toBe(VIRTIO_BLK_S_OK);
    expect(sector(driver)).toBe(filler);
    expect(driver.request(VIRTIO_BLK_T_IN, MEMORY)).toBe(VIRTIO_BLK_S_OK);
    expect(driver.machine.transport.readStatus() & DeviceStatus.NeedsReset).toBe(0);
    expect(driver.machine.faults.entries.map(({ access }) => access)).toEqual(['read', 'write']);
  });

  it('fails the request with io-error, and keeps the disk', async () => {
    const driver = await boot(place, 'io-error');
    driver.machine.memory.u8.fill(0x11, DATA, DATA + SECTOR);
    expect(driver.request(VIRTIO_BLK_T_OUT, DATA)).toBe(VIRTIO_BLK_S_OK);
    expect(driver.request(VIRTIO_BLK_T_OUT, MEMORY)).toBe(VIRTIO_BLK_S_IOERR);
    expect(sector(driver)).toBe(0x11);
  });

  it('asks for a reset with needs-reset, and does nothing until then', async () => {
    const driver = await boot(place, 'needs-reset');
    expect(driver.request(VIRTIO_BLK_T_IN, MEMORY)).toBe(-1);
    expect(() => checkDevice(driver.machine.transport)).toThrow(
      expect.objectContaining({ code: 'ERR_DEVICE_NEEDS_RESET' }),
    );
    driver.start();
    expect(sector(driver)).toBe(0);
  });

  it('never answers with stall, and says nothing of it', async () => {
    const driver = await boot(place, 'stall');
    expect(driver.request(VIRTIO_BLK_T_IN, MEMORY)).toBe(-1);
    expect(() => checkDevice(driver.machine.transport)).not.toThrow();
    driver.start();
    expect(sector(driver)).toBe(0);
  });

  it('is gone with connection-loss, and what it recorded is not', async () => {
    const driver = await boot(place, 'connection-loss');
    const { transport, faults } = driver.machine;
    expect(driver.request(VIRTIO_BLK_T_IN, MEMORY)).toBe(-1);
    expect(transport.wait(20)).toBe('lost');
    const lost: unknown = expect.objectContaining({ code: 'ERR_DEVICE_LOST' });
    expect(() => transport.readStatus()).toThrow(lost);
    expect(() => resetDevice(transport)).toThrow(lost);
    expect(() => transport.readConfig(0, new Uint8Array(8))).toThrow(lost);
    expect(faults.entries).toMatchObject([{ address: BigInt(MEMORY), access: 'write', cause: 'outside-memory' }]);
  });

  it('reads as all ones with freeze, and works again after a reset', async () => {
    const driver = await boot(place, 'freeze');
    const { transport } = driver.machine;
    expect(driver.request(VIRTIO_BLK_T_IN, MEMORY)).toBe(-1);
    expect(() => checkDevice(transport)).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_FROZEN' }));
    const config = new Uint8Array(8);
    transport.readConfig(0, config);
    expect(config.every((byte) => byte === 0xff)).toBe(true);
    transport.writeStatus(DeviceStatus.Acknowledge);
    expect(transport.readStatus()).toBe(0xff);
    driver.start();
    expect(sector(driver)).toBe(0);
    transport.readConfig(0, config);
    expect(config[0]).toBe(0);
  });
});

describe('the address space of a device that ignores faults', () => {
  class Counted extends TranslatedAddressSpace {
    epoch = 0;
    override get generation(): number {
      return super.generation + this.epoch;
    }
  }

  it.each(['zeros', 'silent'] as const)('has the generation of one that counts more itself: %s', (consequence) => {
    const memory = new GuestMemory(new SharedArrayBuffer(PAGE_SIZE));
    const counted = new Counted(memory, new FaultLog(), new PhysicalTranslation(PAGE_SIZE));
    const space = spaceWithConsequence(counted, consequence);
    counted.epoch = 3;
    expect([space.generation, space.seenGeneration ?? space.generation]).toEqual([3, 3]);
  });
});
