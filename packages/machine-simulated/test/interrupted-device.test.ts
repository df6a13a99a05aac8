import { acceptFeatures, deviceDescription, ringFeatures, ringOptions } from '@virtio-platform/conformance/testing';
import type { BootedMachine } from '@virtio-platform/core';
import {
  DeviceStatus,
  resetQueue,
  resumeDevice,
  startDevice,
  suspendDevice,
  type Transport,
} from '@virtio-platform/core/device';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import {
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_NOTIF_CONFIG_DATA,
  VIRTIO_F_NOTIFICATION_DATA,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_SUSPEND,
} from '@virtio-platform/core/features';
import { openVirtqueue, ScatterList, UsedBatch, type QueueLayout, type Virtqueue } from '@virtio-platform/core/queue';
import net from '@virtio-platform/device-net';
import { describe, expect, it } from 'vitest';
import { bootMachine } from './boot-machine.ts';

const BUFFERS = 0x20_0000;
const RUNS = DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk | DeviceStatus.DriverOk;
const SUSPENDED = (RUNS & ~DeviceStatus.DriverOk) | DeviceStatus.Suspend;

/** A network device with one pair of queues: what is sent on queue 1 comes back in the buffers of queue 0. */
class LoopedDriver {
  readonly transport: Transport;
  readonly queues: readonly Virtqueue[];
  readonly machine: BootedMachine;
  readonly #batch = new UsedBatch(16);

  constructor(booted: BootedMachine, layout: QueueLayout, features: readonly number[]) {
    const { transport, memory } = booted;
    this.machine = booted;
    this.transport = transport;
    const accepted = ringFeatures(layout, ...features);
    acceptFeatures(transport, accepted);
    this.queues = [0, 1].map((index) => {
      const mapping = new DirectDmaMapping(memory, { path: 'physical', capacity: 64 });
      const queue = openVirtqueue(
        layout,
        memory,
        mapping,
        ringOptions({ index, inOrder: accepted.has(VIRTIO_F_IN_ORDER) }),
      );
      transport.enableQueue(index, queue.addresses);
      return queue;
    });
  }

  get receive(): Virtqueue {
    return this.queues[0]!;
  }

  get transmit(): Virtqueue {
    return this.queues[1]!;
  }

  /** Gives the device room for one packet, without telling. */
  offerRoom(slot = 0): void {
    const list = new ScatterList(1);
    list.addWritable(BUFFERS + slot * 0x1000, 0x800);
    expect(this.receive.add(list)).toBeGreaterThanOrEqual(0);
    this.receive.publish();
  }

  /** Sends a packet that is all `byte`, and tells. */
  send(byte: number): void {
    const { memory } = this.machine;
    const address = BUFFERS + 0x1_0000;
    memory.u8.fill(0, address, address + 12).fill(byte, address + 12, address + 112);
    const list = new ScatterList(1);
    list.addReadable(address, 112);
    expect(this.transmit.add(list)).toBeGreaterThanOrEqual(0);
    this.transmit.publish();
    this.transport.notify(1, this.transmit.nextAvailable);
  }

  /** Waits for used buffers of a queue and returns how many came: none after a while. */
  take(queue: Virtqueue): number {
    for (let tries = 0; tries < 15; tries++) {
      if (queue.takeUsed(this.#batch) > 0) break;
      this.transport.wait(10);
    }
    expect(queue.broken).toBeUndefined();
    return this.#batch.count;
  }

  received(slot = 0): number | undefined {
    return this.machine.memory.u8[BUFFERS + slot * 0x1000 + 12];
  }
}

function boot(device: 'same-thread' | 'worker'): Promise<BootedMachine> {
  return bootMachine({ device: deviceDescription(net), options: { device } });
}

/** Boots the device and starts a driver with these features. */
async function startLooped(
  device: 'same-thread' | 'worker',
  layout: QueueLayout,
  features: readonly number[],
): Promise<LoopedDriver> {
  const driver = new LoopedDriver(await boot(device), layout, features);
  startDevice(driver.transport);
  return driver;
}

const PLACES = [
  ['same-thread', 'split'],
  ['same-thread', 'packed'],
  ['worker', 'split'],
  ['worker', 'packed'],
] as const;

describe.each(PLACES)('a device in %s whose %s queues are reset', (device, layout) => {
  const start = (features = [VIRTIO_F_RING_RESET]) => startLooped(device, layout, features);

  it('V50 touches a queue with buffers in flight no more, while the other one goes on', async () => {
    const driver = await start();
    driver.offerRoom();
    resetQueue(driver.transport, 0);
    expect(driver.receive.reset()).toHaveLength(1);
    driver.send(0x11);
    expect([driver.take(driver.transmit), driver.take(driver.receive)]).toEqual([1, 0]);
    driver.transport.enableQueue(0, driver.receive.addresses);
    driver.offerRoom();
    driver.transport.notify(0, driver.receive.nextAvailable);
    expect([driver.take(driver.receive), driver.received()]).toEqual([1, 0x11]);
  });

  it('V50 takes another size when it is enabled again, as often as one likes', async () => {
    const driver = await start();
    for (const [round, size] of [2, 64, 8, 1024].entries()) {
      driver.offerRoom();
      driver.send(0x20 + round);
      expect([driver.take(driver.receive), driver.received(), driver.take(driver.transmit)]).toEqual([
        1,
        0x20 + round,
        1,
      ]);
      for (const queue of driver.queues) {
        resetQueue(driver.transport, queue.index);
        resetQueue(driver.transport, queue.index);
        queue.reset();
        queue.resize(size);
        driver.transport.enableQueue(queue.index, queue.addresses);
      }
    }
    expect(driver.transport.readStatus()).toBe(RUNS);
  });

  it('V50 R-12 asks for a reset over a size that it does not have, and over a queue that was not reset', async () => {
    const driver = await start();
    driver.transport.enableQueue(0, driver.receive.addresses);
    expect(driver.transport.readStatus() & DeviceStatus.NeedsReset).toBe(DeviceStatus.NeedsReset);
    const other = new LoopedDriver(driver.machine, layout, [VIRTIO_F_RING_RESET]);
    resetQueue(other.transport, 0);
    other.transport.enableQueue(0, { size: 2048, words: other.receive.addresses.words });
    expect(other.transport.readStatus() & DeviceStatus.NeedsReset).toBe(DeviceStatus.NeedsReset);
  });

  it('V50 resets no queue without the feature', async () => {
    const driver = await start([]);
    expect(() => resetQueue(driver.transport, 0)).toThrow(TypeError);
    driver.offerRoom();
    driver.send(0x33);
    expect([driver.take(driver.receive), driver.received()]).toEqual([1, 0x33]);
  });

  it('V50 knows of a queue that was never there that it is reset', async () => {
    const driver = await start();
    expect(driver.transport.isQueueReset(0)).toBe(false);
    for (const queue of [2, 63, 1000]) {
      resetQueue(driver.transport, queue);
      expect(driver.transport.isQueueReset(queue)).toBe(true);
    }
    expect(driver.transport.readStatus()).toBe(RUNS);
  });
});

describe.each(PLACES)('a device in %s with %s queues that is suspended', (device, layout) => {
  const start = (features = [VIRTIO_F_SUSPEND]) => startLooped(device, layout, features);

  it('V52 gives back what it took first, and touches nothing until it is resumed', async () => {
    const driver = await start();
    driver.offerRoom();
    driver.send(0x41);
    suspendDevice(driver.transport);
    expect(driver.transport.readStatus()).toBe(SUSPENDED);
    expect([driver.take(driver.receive), driver.received(), driver.take(driver.transmit)]).toEqual([1, 0x41, 1]);
    driver.offerRoom(1);
    driver.send(0x42);
    expect([driver.take(driver.receive), driver.take(driver.transmit)]).toEqual([0, 0]);
    resumeDevice(driver.transport);
    expect(driver.transport.readStatus()).toBe(RUNS);
    expect([driver.take(driver.receive), driver.received(1), driver.take(driver.transmit)]).toEqual([1, 0x42, 1]);
  });

  it('V52 keeps across it what it had not delivered', async () => {
    const driver = await start();
    driver.send(0x51);
    expect(driver.take(driver.transmit)).toBe(1);
    for (let i = 0; i < 3; i++) {
      suspendDevice(driver.transport);
      resumeDevice(driver.transport);
    }
    driver.offerRoom();
    driver.transport.notify(0, driver.receive.nextAvailable);
    expect([driver.take(driver.receive), driver.received()]).toEqual([1, 0x51]);
  });

  it('V52 ignores SUSPEND without the feature, and before DRIVER_OK', async () => {
    const driver = await start([]);
    driver.transport.writeStatus(RUNS | DeviceStatus.Suspend);
    expect(driver.transport.readStatus()).toBe(RUNS);
    const other = new LoopedDriver(driver.machine, layout, [VIRTIO_F_SUSPEND]);
    const before = other.transport.readStatus();
    other.transport.writeStatus(before | DeviceStatus.Suspend);
    expect(other.transport.readStatus()).toBe(before);
    startDevice(other.transport);
    other.offerRoom();
    other.send(0x61);
    expect([other.take(other.receive), other.received()]).toEqual([1, 0x61]);
  });

  it('V52 is gone with all it had after a reset', async () => {
    const driver = await start();
    driver.send(0x71);
    suspendDevice(driver.transport);
    const other = new LoopedDriver(driver.machine, layout, [VIRTIO_F_SUSPEND]);
    startDevice(other.transport);
    other.offerRoom();
    other.send(0x72);
    expect([other.take(other.receive), other.received()]).toEqual([1, 0x72]);
  });
});

describe.each(PLACES)('a device in %s with %s queues that is notified', (device, layout) => {
  const DATA = [VIRTIO_F_NOTIFICATION_DATA];
  const IDENTITY = [VIRTIO_F_NOTIF_CONFIG_DATA];

  it.each([
    ['by index', []],
    ['with data', DATA],
    ['by the name it chose', IDENTITY],
    ['by the name it chose, with data', [...DATA, ...IDENTITY]],
  ])('serves the queue: %s', async (_how, features) => {
    const driver = await startLooped(device, layout, features);
    for (let i = 0; i < 20; i++) {
      driver.offerRoom();
      driver.send(i);
      expect([driver.take(driver.receive), driver.received(), driver.take(driver.transmit)]).toEqual([1, i, 1]);
    }
  });

  it('V35 believes the ring and not what a notification says of it', async () => {
    const driver = await startLooped(device, layout, DATA);
    for (const next of [0, 1, 7, 0x7fff, 0x8000, 0xffff]) {
      driver.transport.notify(1, next);
      expect(driver.transmit.takeUsed(new UsedBatch(1))).toBe(0);
      const list = new ScatterList(1);
      list.addReadable(BUFFERS, 112);
      driver.transmit.add(list);
      driver.transmit.publish();
      driver.transport.notify(1, next);
      expect(driver.take(driver.transmit)).toBe(1);
    }
    expect(driver.transport.readStatus()).toBe(RUNS);
  });
});
