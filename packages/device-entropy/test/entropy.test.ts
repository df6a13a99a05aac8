import { type DeviceModel } from '@virtio-platform/core';
import { NO_BUFFER } from '@virtio-platform/device-kit';
import entropy, {
  ENTROPY_SETTINGS,
  ENTROPY_MOST_BYTES,
  EntropyDevice,
  EntropyDriver,
  RandomSource,
  SeededBytes,
  SeededSource,
} from '@virtio-platform/device-entropy';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { describe, expect, it } from 'vitest';
import { DeviceLoop, hostileChain, NOTHING_LEFT } from '@virtio-platform/conformance/testing';

const MODERN = FeatureSet.of(VIRTIO_F_VERSION_1);

function seeded(counter: number, seed: number, length: number): number[] {
  const bytes = new SeededBytes(seed);
  bytes.begin(counter);
  return Array.from({ length }, () => bytes.next());
}

describe('EntropyDevice', () => {
  it('fills each buffer with what its seed and number say', () => {
    const loop = new DeviceLoop(new EntropyDevice(new SeededSource(7), 32), MODERN);
    expect(loop.exchange(0, [], 100)).toEqual(seeded(0, 7, 100));
    expect(loop.exchange(0, [], 3)).toEqual([1, 0, 0]);
    expect(loop.exchange(0, [], 70_000)).toEqual(seeded(2, 7, 70_000));
    expect(seeded(0, 7, 100)).not.toEqual(seeded(0, 8, 100));
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });

  it('gives other bytes each time without a seed', () => {
    const loop = new DeviceLoop(new EntropyDevice(new RandomSource(), 32), MODERN);
    const first = loop.exchange(0, [], 64);
    expect(first).toHaveLength(64);
    expect(loop.exchange(0, [], 64)).not.toEqual(first);
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });

  it('C10 fills no more of a buffer than it says, however long the buffer is', () => {
    const device = new EntropyDevice(new SeededSource(7), 32);
    const loop = new DeviceLoop(device, MODERN);
    expect(loop.exchange(0, [], ENTROPY_MOST_BYTES + 4096)).toHaveLength(ENTROPY_MOST_BYTES);
    // 4 GiB in a small guest: the same megabyte 4096 times.
    const start = performance.now();
    const chain = hostileChain(
      [],
      Array.from({ length: 16 }, (): [number, number] => [0, 0x1000_0000]),
    );
    expect(device.process(0, chain, loop.space)).toBe(ENTROPY_MOST_BYTES);
    expect(performance.now() - start).toBeLessThan(1000);
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });

  it('gives at least one byte', () => {
    const loop = new DeviceLoop(new EntropyDevice(new RandomSource(), 32), MODERN);
    expect(loop.exchange(0, [], 1)).toHaveLength(1);
    loop.end();
  });

  it('writes nothing to a buffer with a readable part', () => {
    const loop = new DeviceLoop(new EntropyDevice(new SeededSource(7), 32), MODERN);
    expect(loop.exchange(0, [1, 2, 3])).toEqual([]);
    expect(loop.exchange(0, [1, 2, 3], 16)).toEqual([]);
    expect(loop.exchange(0, [], 4)).toEqual([0, 0, 0, 0]);
    loop.end();
  });

  it('waits for the next period once it gave all of one, and gives the rest of one to a buffer', async () => {
    const device = new EntropyDevice(new SeededSource(7), 32, { maxBytes: 100, period: 5 });
    const loop = new DeviceLoop(device, MODERN);
    const refilled = new Promise<void>((resolve) => {
      device.connect({ queueChanged: resolve, configChanged: () => {} });
    });
    loop.add(0, [], 64);
    loop.add(0, [], 64);
    loop.add(0, [], 64);
    expect(loop.take(0).map(({ length }) => length)).toEqual([64, 36]);
    expect(device.wants(0)).toBe(false);
    await refilled;
    expect(loop.take(0)).toEqual([seeded(2, 7, 64)]);
    device.start(MODERN);
    expect(loop.exchange(0, [], 200)).toHaveLength(100);
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });

  it('counts only what it wrote before a fault', () => {
    const device = new EntropyDevice(new SeededSource(7), 32);
    const loop = new DeviceLoop(device, MODERN);
    expect(device.process(0, hostileChain([], [[2 ** 40, 64]]), loop.space)).toBe(0);
    expect(loop.faults.count).toBe(1);
    loop.end();
  });
});

describe('the settings of an entropy device', () => {
  it.each([0, 7, 0xffff_ffff])('have the seed of its bytes: %d', (seed) => {
    const loop = new DeviceLoop(entropy.model(ENTROPY_SETTINGS.parse({ seed }), 'little'), MODERN);
    expect(loop.exchange(0, [], 40)).toEqual(seeded(0, seed, 40));
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });

  it('make random bytes without one', () => {
    const come = [1, 2].map(() => {
      const loop = new DeviceLoop(entropy.model(ENTROPY_SETTINGS.parse({}), 'little'), MODERN);
      const bytes = loop.exchange(0, [], 40);
      expect(loop.end()).toEqual(NOTHING_LEFT);
      return bytes;
    });
    expect(come[0]).toHaveLength(40);
    expect(come[0]).not.toEqual(come[1]);
  });

  it('are limits of what a buffer and a period get', () => {
    const settings = ENTROPY_SETTINGS.parse({ seed: 7, bufferBytes: '64B', maxBytes: '1KiB', period: 20 });
    expect(settings).toEqual({ seed: 7, bufferBytes: 64, maxBytes: 1024, period: 20 });
    const model = entropy.model(settings, 'little');
    const loop = new DeviceLoop(model, MODERN);
    expect(loop.exchange(0, [], 100)).toEqual(seeded(0, 7, 64));
    expect(model.usesEventLoop).toBe(true);
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });

  it('become arguments of QEMU, which has neither a seed nor a limit of a buffer', () => {
    const resources = { image: () => '', loopback: () => 0 };
    const { device } = entropy.qemu!.arguments(ENTROPY_SETTINGS.parse({ maxBytes: '1KiB' }), resources);
    expect(device).toEqual({ driver: 'virtio-rng-pci', rng: 'random', 'max-bytes': 1024, period: 65_536 });
    for (const settings of [{ seed: 1 }, { bufferBytes: '1B' }])
      expect(() => entropy.qemu!.arguments(ENTROPY_SETTINGS.parse(settings), resources)).toThrow(/device of QEMU/);
  });

  it.each([
    { bufferBytes: '0B' },
    { bufferBytes: '129KiB' },
    { maxBytes: '0B' },
    { maxBytes: '1KiB', period: 0 },
    { period: 5 },
    { seed: -1 },
    { seed: 2 ** 32 },
    { seed: '7' },
    { seed: 0.5 },
    { sed: 7 },
    undefined,
  ])('are not %j', (settings) => {
    expect(ENTROPY_SETTINGS.safeParse(settings).success).toBe(false);
  });
});

describe.each(['premapped', 'streaming'] as const)('EntropyDriver, %s', (buffers) => {
  it('reads what the device gives', () => {
    const loop = new DeviceLoop(new EntropyDevice(new SeededSource(5), 32), MODERN);
    const [{ queue, mapping }] = loop.queues(0) as [ReturnType<typeof loop.queues>[0]];
    const driver = new EntropyDriver(loop.memory, queue, mapping, { depth: 2, bytes: 40, buffers });
    expect([driver.request(), driver.request(), driver.request()]).toEqual([0, 0, NO_BUFFER]);
    expect(driver.inFlight).toBe(2);
    driver.publish();
    loop.serve();
    expect(driver.poll()).toBe(2);
    const target = new Uint8Array(40);
    expect(driver.read(0, target)).toBe(40);
    expect([...target]).toEqual(seeded(0, 5, 40));
    expect(driver.read(1, target)).toBe(40);
    expect([...target]).toEqual(seeded(1, 5, 40));
    expect(driver.request()).toBe(0);
    expect(loop.end(driver)).toEqual(NOTHING_LEFT);
  });

  it('asks for any length, in pieces, several at once', () => {
    const loop = new DeviceLoop(new EntropyDevice(new SeededSource(5), 32), MODERN);
    const [{ queue, mapping }] = loop.queues(0) as [ReturnType<typeof loop.queues>[0]];
    const driver = new EntropyDriver(loop.memory, queue, mapping, { depth: 3, bytes: 40, buffers });
    const slots = [driver.submit(1), driver.submit(40, 4), driver.submit(7, 3)];
    expect(new Set(slots).size).toBe(3);
    for (const [length, pieces] of [
      [0, 1],
      [41, 1],
      [NaN, 1],
      [40, 5],
      [40, 0],
      [2, 3],
    ] as const)
      expect(() => driver.submit(length, pieces)).toThrow(RangeError);
    expect(driver.submit(1)).toBe(NO_BUFFER);
    driver.publish();
    loop.serve();
    expect(driver.poll()).toBe(3);
    const target = new Uint8Array(40);
    [1, 40, 7].forEach((length, i) => {
      expect([driver.slot(i), driver.asked(i)]).toEqual([slots[i], length]);
      expect(driver.read(i, target)).toBe(length);
      expect([...target.subarray(0, length)]).toEqual(seeded(i, 5, length));
    });
    expect(loop.end(driver)).toEqual(NOTHING_LEFT);
  });

  it('shows no byte beyond the used length', () => {
    const stingy: DeviceModel = Object.assign(new EntropyDevice(new RandomSource(), 32), {
      process(...[, chain, space]: Parameters<DeviceModel['process']>) {
        space.write(chain.low[0]!, chain.high[0]!, new Uint8Array(40).fill(9), 0, 40);
        return 3;
      },
    });
    const loop = new DeviceLoop(stingy, MODERN);
    const [{ queue, mapping }] = loop.queues(0) as [ReturnType<typeof loop.queues>[0]];
    const driver = new EntropyDriver(loop.memory, queue, mapping, { depth: 1, bytes: 40, buffers });
    driver.request();
    driver.publish();
    loop.serve();
    expect(driver.poll()).toBe(1);
    const target = new Uint8Array(5);
    expect(driver.read(0, target)).toBe(3);
    expect([...target]).toEqual([9, 9, 9, 0, 0]);
    expect(loop.end(driver)).toEqual(NOTHING_LEFT);
  });

  it('gives back everything when its buffers do not fit', () => {
    const loop = new DeviceLoop(new EntropyDevice(new RandomSource(), 32), MODERN);
    const [{ queue, mapping }] = loop.queues(0) as [ReturnType<typeof loop.queues>[0]];
    const options = { depth: 32, bytes: 1024 * 1024, buffers };
    expect(() => new EntropyDriver(loop.memory, queue, mapping, options)).toThrow(/no room/);
    expect(loop.end()).toEqual(NOTHING_LEFT);
  });
});
