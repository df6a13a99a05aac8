import { DmaError, type DriverHalf } from '@virtio-platform/core';
import type { DeviceInterface } from '@virtio-platform/core/device';
import { FeatureSet, VIRTIO_F_RING_PACKED, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import block from '@virtio-platform/device-block';
import { GuestMemory } from '@virtio-platform/core/memory';
import { DEFAULT_POLICY } from '@virtio-platform/core/negotiation';
import { DeviceSession, type SessionOptions } from '@virtio-platform/session';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { IDENTITY_TRAITS, RegisterTransport } from '@virtio-platform/conformance/testing';

afterEach(() => {
  vi.useRealTimers();
});

/** A block device that gives these for the size of its queue, one after the other, and then the last for ever. */
class SizingTransport extends RegisterTransport {
  readonly #sizes: readonly number[];
  reads = 0;

  constructor(sizes: readonly number[], deviceInterface: DeviceInterface, isPacked: boolean, slowReset: number) {
    const version = FeatureSet.of(VIRTIO_F_VERSION_1);
    const offered = isPacked ? version.with(VIRTIO_F_RING_PACKED) : version;
    super({
      offered: deviceInterface === 'legacy' ? FeatureSet.EMPTY : offered,
      interface: deviceInterface,
      configBytes: 64,
      slowReset,
    });
    this.#sizes = sizes;
    this.config.fill(0);
    new DataView(this.config.buffer).setBigUint64(0, 2048n, true);
  }

  override maxQueueSize(_queue: number): number {
    return this.#sizes[Math.min(this.reads++, this.#sizes.length - 1)]!;
  }
}

interface OpenOptions extends Partial<SessionOptions> {
  readonly deviceInterface?: DeviceInterface;
  readonly slowReset?: number;
}

interface Session {
  readonly session: DeviceSession;
  readonly transport: SizingTransport;
  readonly memory: GuestMemory;
}

function open(
  layout: 'split' | 'packed',
  sizes: readonly number[],
  { deviceInterface = 'modern', slowReset = 0, ...more }: OpenOptions = {},
): Session {
  const memory = new GuestMemory(new SharedArrayBuffer(4 << 20));
  const transport = new SizingTransport(sizes, deviceInterface, layout === 'packed', slowReset);
  const session = new DeviceSession({
    machine: { memory, transport },
    platform: {
      traits: IDENTITY_TRAITS,
      rules: [],
      guestByteOrder: 'little',
      openMapping: () => {
        throw new DmaError('ERR_DMA_RANGE', 'nothing is mapped on the physical path');
      },
    },
    device: { type: block },
    driver: { privilege: 'kernel', buffers: 'streaming', lacks: FeatureSet.EMPTY },
    policy: DEFAULT_POLICY,
    queue: { layout, size: 64 },
    ...more,
  });
  return { session, transport, memory };
}

/** Opens everything and lets the device go. */
async function start(session: DeviceSession): Promise<DriverHalf> {
  session.openQueues();
  const { driver } = session.openDriver({ depth: 1, bytes: 512 });
  await session.start();
  return driver;
}

describe.each(['split', 'packed'] as const)('a session over a %s ring with a device that lies', (layout) => {
  it.each([
    [[65_535], 64],
    [[64], 64],
    [[100], 64],
    [[33], layout === 'split' ? 32 : 33],
    [[layout === 'packed' ? 3 : 7], layout === 'packed' ? 3 : 4],
    [[8, 65_535, 0], 8],
    [[65_535, 8], 64],
  ])('D44 makes a queue that both can have of a size of %j', async (sizes, size) => {
    const { session, transport, memory } = open(layout, sizes);
    await start(session);
    expect([session.ring, transport.reads]).toEqual([{ layout, size }, 1]);
    expect(transport.log).toContain(`queue 0 of ${size}`);
    session.end();
    expect([session.dma.live, memory.allocated]).toEqual([0, 0]);
    session.dispose();
  });

  it.each([1, 2])('D44 refuses a queue of %d entries, in which no request fits, and keeps nothing', async (size) => {
    const { session, memory } = open(layout, [size]);
    await expect(start(session)).rejects.toMatchObject({ code: 'ERR_QUEUE_TOO_SMALL' });
    session.end();
    expect([session.dma.live, memory.allocated]).toEqual([0, 0]);
  });

  it('D44 refuses a device without the queue that it has to have, and keeps nothing', async () => {
    const { session, memory } = open(layout, [0]);
    await expect(start(session)).rejects.toMatchObject({ code: 'ERR_DEVICE_CONFIG' });
    session.end();
    expect([session.dma.live, memory.allocated]).toEqual([0, 0]);
  });

  it.each([
    [undefined, 5000],
    [10, 1000],
    [2000, 2000],
    [60_000, 5000],
  ])('D45 M7 gives nothing back before a reset is confirmed: requests have %s ms', async (timeoutMs, resetMs) => {
    const { session, transport, memory } = open(layout, [8], {
      slowReset: Infinity,
      driver: { privilege: 'kernel', buffers: 'streaming', lacks: FeatureSet.EMPTY, timeoutMs },
    });
    await start(session);
    const held = { live: session.dma.live, allocated: memory.allocated };
    expect(held.live).toBeGreaterThan(0);
    vi.useFakeTimers({ toFake: ['performance'] });
    transport.wait = (waitMs) => {
      vi.advanceTimersByTime(waitMs);
      return 'timeout';
    };
    const message = expect.stringMatching(new RegExp(`did not confirm a reset .* in ${resetMs} ms$`));
    expect(() => session.end()).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_RESET_TIMEOUT', message }));
    expect({ live: session.dma.live, allocated: memory.allocated }).toEqual(held);
  });
});

describe('a session over the split ring of a legacy device, which alone says how long it is', () => {
  it.each([0, 3, 65_535, 65_536])('D44 refuses a queue of %d entries, and keeps nothing', async (size) => {
    const { session, memory } = open('split', [size], { deviceInterface: 'legacy' });
    await expect(start(session)).rejects.toMatchObject({ code: 'ERR_DEVICE_CONFIG' });
    session.end();
    expect([session.dma.live, memory.allocated]).toEqual([0, 0]);
  });

  it('D44 takes the size that it has to take', async () => {
    const { session } = open('split', [256], { deviceInterface: 'legacy' });
    await start(session);
    expect(session.ring).toEqual({ layout: 'split', size: 256 });
    session.end();
  });
});
