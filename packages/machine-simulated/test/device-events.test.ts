import { acceptFeatures, ringFeatures, ringOptions } from '@virtio-platform/conformance/testing';
import type { BootedMachine } from '@virtio-platform/core';
import {
  DeviceStatus,
  readDeviceConfig,
  resumeDevice,
  startDevice,
  suspendDevice,
  type Transport,
} from '@virtio-platform/core/device';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { VIRTIO_F_SUSPEND } from '@virtio-platform/core/features';
import { openVirtqueue, ScatterList, UsedBatch, type Virtqueue } from '@virtio-platform/core/queue';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { bootMachine } from './boot-machine.ts';
import event, { COMMAND_QUEUE, EVENT_BYTE, EVENT_CONFIG, EVENT_QUEUE, type EventSettings } from './event-device.ts';

const BUFFERS = 0x20_0000;
/** How long an event may take at most; the machine may be busy. */
const PATIENCE_MS = 10_000;

/** A driver of the device with events, up to FEATURES_OK and with both queues. */
class EventDriver {
  readonly machine: BootedMachine;
  readonly transport: Transport;
  readonly queues: readonly Virtqueue[];
  readonly #batch = new UsedBatch(8);

  constructor(machine: BootedMachine) {
    this.machine = machine;
    this.transport = machine.transport;
    acceptFeatures(this.transport, ringFeatures('split', VIRTIO_F_SUSPEND));
    this.queues = [EVENT_QUEUE, COMMAND_QUEUE].map((index) => {
      const mapping = new DirectDmaMapping(machine.memory, { path: 'physical', capacity: 64 });
      const queue = openVirtqueue('split', machine.memory, mapping, ringOptions({ index }));
      this.transport.enableQueue(index, queue.addresses);
      return queue;
    });
  }

  /** The events so far, as the configuration has them. */
  get events(): number {
    const { offset, width } = EVENT_CONFIG.events;
    return readDeviceConfig(this.transport, offset, width).getUint32(0, true);
  }

  /** Gives the device a buffer of one byte to write. */
  offer(queue = EVENT_QUEUE): void {
    const list = new ScatterList(1);
    this.machine.memory.u8[BUFFERS + queue] = 0;
    if (queue === EVENT_QUEUE) list.addWritable(BUFFERS, 1);
    else list.addReadable(BUFFERS + queue, 1);
    expect(this.queues[queue]!.add(list)).toBeGreaterThanOrEqual(0);
    this.queues[queue]!.publish();
    this.transport.notify(queue, this.queues[queue]!.nextAvailable);
  }

  /** Writes the byte of the configuration that makes an event. */
  trigger(): void {
    this.transport.writeConfig(EVENT_CONFIG.trigger.offset, Uint8Array.of(1));
  }

  /** Used buffers of a queue, and what is in the buffer of the event queue. */
  take(queue = EVENT_QUEUE): readonly [used: number, byte: number | undefined] {
    const used = this.queues[queue]!.takeUsed(this.#batch);
    return [used, this.machine.memory.u8[BUFFERS]];
  }

  /** Waits until the device notifies, while the timers of this thread run. */
  async notified(): Promise<void> {
    const end = performance.now() + PATIENCE_MS;
    while (this.transport.wait(5) !== 'notified') {
      expect(performance.now(), 'no notification').toBeLessThan(end);
      await setTimeout(1);
    }
  }

  /** Takes the notifications that are pending. */
  drain(): void {
    while (this.transport.wait(20) === 'notified');
  }
}

async function boot(device: 'same-thread' | 'worker', settings: EventSettings): Promise<EventDriver> {
  const module = new URL('./event-device.ts', import.meta.url).href;
  return new EventDriver(await bootMachine({ device: { type: event, module, settings }, options: { device } }));
}

describe.each(['same-thread', 'worker'] as const)('the events of a device half in %s', (place) => {
  /** Starts a device, and returns its driver with one buffer that the device does not want yet. */
  async function start(settings: EventSettings): Promise<EventDriver> {
    const driver = await boot(place, settings);
    startDevice(driver.transport);
    driver.offer();
    expect(driver.take()).toEqual([0, 0]);
    return driver;
  }

  it('by a timer reach the driver: a used buffer, another generation, a change told once, a notification', async () => {
    const driver = await start({ after: 50 });
    const { transport } = driver;
    const before = transport.configGeneration();
    expect([driver.events, transport.takeConfigChange!()]).toEqual([0, false]);
    await driver.notified();
    expect(transport.configGeneration()).not.toBe(before);
    // The change of the configuration comes first, and may be told by itself.
    if (driver.take()[0] === 0) await driver.notified();
    expect(driver.machine.memory.u8[BUFFERS]).toBe(EVENT_BYTE);
    expect([transport.takeConfigChange!(), transport.takeConfigChange!(), driver.events]).toEqual([true, false, 1]);
    driver.drain();
    expect([transport.takeConfigChange!(), driver.machine.faults.count]).toEqual([false, 0]);
  });

  it('by a timer come again after a reset, and nothing is left of those before', async () => {
    const driver = await start({ after: 20 });
    await driver.notified();
    const again = new EventDriver(driver.machine);
    startDevice(again.transport);
    again.offer();
    // A notification from before the reset may still come, of nothing.
    let taken = again.take();
    for (const end = performance.now() + PATIENCE_MS; taken[0] === 0 && performance.now() < end; taken = again.take())
      await again.notified();
    expect([taken, again.events]).toEqual([[1, EVENT_BYTE], 2]);
  });

  it('by a write of the configuration reach the driver', async () => {
    const driver = await start({});
    const { transport } = driver;
    const before = transport.configGeneration();
    driver.trigger();
    await driver.notified();
    driver.drain();
    expect(driver.take()).toEqual([1, EVENT_BYTE]);
    expect(transport.configGeneration()).not.toBe(before);
    expect([transport.takeConfigChange!(), transport.takeConfigChange!(), driver.events]).toEqual([true, false, 1]);
  });

  it('that were told before a reset are not told after it', async () => {
    const driver = await start({});
    driver.trigger();
    await driver.notified();
    driver.drain();
    const again = new EventDriver(driver.machine);
    startDevice(again.transport);
    expect(again.transport.takeConfigChange!()).toBe(false);
    again.trigger();
    await again.notified();
    expect([again.transport.takeConfigChange!(), again.transport.takeConfigChange!()]).toEqual([true, false]);
  });

  it('inside of the work on a buffer are served with it, on the other queue too', async () => {
    const driver = await start({});
    const { transport } = driver;
    driver.offer(COMMAND_QUEUE);
    await driver.notified();
    driver.drain();
    expect(driver.take(COMMAND_QUEUE)[0]).toBe(1);
    expect(driver.take()).toEqual([1, EVENT_BYTE]);
    expect([transport.takeConfigChange!(), transport.takeConfigChange!(), driver.events]).toEqual([true, false, 1]);
  });

  it('before DRIVER_OK change the generation, and are told to no driver', async () => {
    const driver = await boot(place, {});
    const { transport } = driver;
    const before = transport.configGeneration();
    driver.trigger();
    expect(driver.events).toBe(1);
    expect(transport.configGeneration()).not.toBe(before);
    expect(transport.wait(20)).toBe('timeout');
    expect(transport.takeConfigChange!()).toBe(false);
  });

  it('V52 of a suspended device wait until it goes on, but for the generation', async () => {
    const driver = await start({ after: 100 });
    const { transport } = driver;
    const before = transport.configGeneration();
    suspendDevice(transport);
    const end = performance.now() + PATIENCE_MS;
    while (driver.events === 0) {
      expect(performance.now()).toBeLessThan(end);
      await setTimeout(5);
    }
    expect(transport.configGeneration()).not.toBe(before);
    expect([transport.wait(50), transport.takeConfigChange!(), driver.take()]).toEqual(['timeout', false, [0, 0]]);
    resumeDevice(transport);
    await driver.notified();
    driver.drain();
    expect(driver.take()).toEqual([1, EVENT_BYTE]);
    expect([transport.takeConfigChange!(), transport.takeConfigChange!()]).toEqual([true, false]);
  });

  it('T10 that go wrong are a fault, and a reset that the device asks for', async () => {
    const driver = await start({ after: 20, fails: true });
    await driver.notified();
    driver.drain();
    expect(driver.transport.readStatus() & DeviceStatus.NeedsReset).toBe(DeviceStatus.NeedsReset);
    expect(driver.machine.faults.entries).toMatchObject([
      { cause: 'device-error', detail: expect.stringContaining('queue 0: TypeError: the event went wrong, at ') },
    ]);
    const again = new EventDriver(driver.machine);
    expect(again.transport.readStatus() & DeviceStatus.FeaturesOk).toBe(DeviceStatus.FeaturesOk);
  });
});

/** Starts a device in a worker whose event comes soon, with a buffer for it. */
async function startInWorker(): Promise<EventDriver> {
  const driver = await boot('worker', { after: 50 });
  startDevice(driver.transport);
  driver.offer();
  return driver;
}

describe('a device half with a timer in a worker', () => {
  it.each<[string, (driver: EventDriver) => void]>([
    ['reads registers', ({ transport }) => void transport.readStatus()],
    ['notifies', ({ transport }) => transport.notify(COMMAND_QUEUE, 0)],
  ])('gets its time while the driver does nothing but this: it %s', async (_, busy) => {
    const driver = await startInWorker();
    const before = driver.transport.configGeneration();
    const end = performance.now() + PATIENCE_MS;
    while (driver.transport.configGeneration() === before) {
      busy(driver);
      if (performance.now() > end) break;
    }
    expect(driver.transport.configGeneration()).not.toBe(before);
  });

  it('has a driver that waits without an event loop of its own', async () => {
    const { transport } = await startInWorker();
    expect(transport.wait(PATIENCE_MS)).toBe('notified');
    expect(transport.takeConfigChange!()).toBe(true);
  });

  it('ends at once, with its timer running', async () => {
    const driver = await startInWorker();
    await setImmediate();
    const begin = performance.now();
    await driver.machine.dispose();
    expect(performance.now() - begin).toBeLessThan(4000);
  });
});
