import { CodedError, DeviceError } from '@virtio-platform/core';
import { DeviceStatus, type Transport } from '@virtio-platform/core/device';
import type { DmaMapping } from '@virtio-platform/core/dma';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { GuestMemory } from '@virtio-platform/core/memory';
import { DEFAULT_POLICY } from '@virtio-platform/core/negotiation';
import type { Virtqueue } from '@virtio-platform/core/queue';
import { IDENTITY_TRAITS, RegisterTransport } from '@virtio-platform/conformance/testing';
import block from '@virtio-platform/device-block';
import { DeviceSession, type SessionOptions } from '@virtio-platform/session';
import { describe, expect, it } from 'vitest';

/** A block device of 1 MiB that processes no request, and that may be gone. */
class TinyDisk extends RegisterTransport {
  isGone = false;

  constructor() {
    super({ offered: FeatureSet.of(VIRTIO_F_VERSION_1), configBytes: 64 });
    this.config.fill(0);
    new DataView(this.config.buffer).setBigUint64(0, 2048n, true);
  }

  override writeStatus(status: number): void {
    if (this.isGone) throw new DeviceError('ERR_DEVICE_LOST', 'the device is gone');
    super.writeStatus(status);
  }
}

interface Opened {
  readonly session: DeviceSession;
  readonly disk: TinyDisk;
  readonly memory: GuestMemory;
}

function open(more: Partial<SessionOptions> = {}): Opened {
  const memory = new GuestMemory(new SharedArrayBuffer(4 << 20));
  const disk = new TinyDisk();
  const platform = {
    traits: IDENTITY_TRAITS,
    rules: [],
    guestByteOrder: 'little' as const,
    openMapping: (): DmaMapping => {
      throw new TypeError('the path is physical');
    },
  };
  const driver = { privilege: 'kernel', buffers: 'streaming', lacks: FeatureSet.EMPTY } as const;
  const session = new DeviceSession({
    machine: { memory, transport: disk },
    platform,
    device: { type: block },
    driver,
    policy: DEFAULT_POLICY,
    queue: { layout: 'split' },
    ...more,
  });
  return { session, disk, memory };
}

const LOAD = { depth: 4, bytes: 4096 };

describe('the steps of a session', () => {
  it('bring a device from negotiation to DRIVER_OK, and take everything back', async () => {
    const { session, disk, memory } = open();
    expect([session.negotiation.path, session.ring, session.queues]).toEqual(['physical', null, []]);
    session.openQueues();
    expect(session.ring).toEqual({ layout: 'split', size: 256 });
    const { context } = session.openDriver(LOAD);
    expect(context).toMatchObject({ ...LOAD, buffers: 'streaming', byteOrder: 'little' });
    expect(context.queues).toHaveLength(1);
    expect(disk.readStatus() & DeviceStatus.DriverOk).toBe(0);
    await session.start();
    expect(disk.readStatus() & DeviceStatus.DriverOk).not.toBe(0);
    context.notify(context.queues[0]!.queue);
    expect(session.notifications).toEqual({ wanted: 0, sent: 1, suppressed: 0 });
    session.end();
    session.dispose();
    expect([disk.readStatus(), memory.allocated, session.dma.live, session.errors]).toEqual([0, 0, 0, []]);
  });

  it('end a device once', async () => {
    const { session, disk } = open();
    session.openQueues();
    await session.start();
    session.end();
    const { length } = disk.log;
    session.end();
    expect(disk.log).toHaveLength(length);
  });

  it('end before any of them, and after a refusal', () => {
    const { session, disk } = open({
      driver: { privilege: 'kernel', buffers: 'streaming', lacks: FeatureSet.of(VIRTIO_F_VERSION_1) },
      platform: {
        traits: { ...IDENTITY_TRAITS, restrictedMemory: true },
        guestByteOrder: 'little',
        rules: [],
        openMapping: () => {
          throw new TypeError('a refused device gets no mapping');
        },
      },
    });
    expect(session.negotiation.refusal).toBeDefined();
    session.end();
    expect(disk.readStatus()).toBe(0);
  });
});

describe('the errors of a session', () => {
  it('begin with the first, to which ending adds its own', async () => {
    const { session, disk, memory } = open();
    disk.config.fill(0);
    disk.maxQueueSize = () => 0;
    expect(() => session.openQueues()).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_CONFIG' }));
    expect(disk.readStatus() & DeviceStatus.Failed).not.toBe(0);
    disk.isGone = true;
    expect(() => session.end()).toThrow(expect.objectContaining({ code: 'ERR_DEVICE_LOST' }));
    expect(session.errors.map((error) => (error as CodedError).code)).toEqual(['ERR_DEVICE_CONFIG', 'ERR_DEVICE_LOST']);
    expect(memory.allocated).toBe(0);
  });

  it('have what failed outside, once, and fail the device only before it was started', async () => {
    const { session, disk } = open();
    const error = new Error('the workload is wrong');
    session.openQueues();
    session.fail(error);
    session.fail(error);
    expect(disk.readStatus() & DeviceStatus.Failed).not.toBe(0);
    expect(session.errors).toEqual([error]);
    session.end();

    const other = open();
    other.session.openQueues();
    await other.session.start();
    other.session.fail(error);
    expect(other.disk.readStatus() & DeviceStatus.Failed).toBe(0);
    other.session.end();
    expect(other.session.errors).toEqual([error]);
  });
});

describe('a start', () => {
  it('ends with the reason of its signal, and lets no device go', async () => {
    const { session, disk, memory } = open();
    session.openQueues();
    session.openDriver(LOAD);
    const controller = new AbortController();
    const starting = session.start(controller.signal);
    controller.abort(new Error('no longer wanted'));
    await expect(starting).rejects.toThrow('no longer wanted');
    expect(disk.readStatus() & DeviceStatus.DriverOk).toBe(0);
    session.end();
    expect(memory.allocated).toBe(0);
  });

  it('lets no device go whose session ended meanwhile', async () => {
    const { session, disk } = open();
    session.openQueues();
    const starting = session.start();
    session.end();
    await expect(starting).rejects.toThrow(TypeError);
    expect(disk.readStatus()).toBe(0);
  });
});

describe('what a session is given', () => {
  it('stands in front of transport, mappings, queues and memory', async () => {
    const seen: string[] = [];
    const watched = new GuestMemory(new SharedArrayBuffer(4 << 20));
    const front = new TinyDisk();
    const { session, disk, memory } = open({
      watch: {
        transport: (): Transport => front,
        mapping: (mapping, queue): DmaMapping => (seen.push(`mapping ${queue}`), mapping),
        queue: (queue, _mapping): Virtqueue => (seen.push(`queue ${queue.index}`), queue),
        memory: () => watched,
      },
    });
    session.openQueues();
    expect(session.openDriver(LOAD).context.memory).toBe(watched);
    expect(seen).toEqual(['mapping 0', 'queue 0']);
    await session.start();
    session.end();
    expect([disk.log, front.log.at(-1)]).toEqual([[], 'status 0']);
    expect([memory.allocated, watched.allocated]).toEqual([0, 0]);
  });

  it('fails on its schedule', () => {
    const none = { map: {}, wrongAddress: {} };
    const { session, memory } = open({ failures: { ...none, region: { nth: [1] } } });
    expect(() => session.openQueues()).toThrow(expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED' }));
    expect(session.injected).toBe(1);
    session.end();
    session.dispose();
    expect(memory.allocated).toBe(0);
  });

  it('leaves room for the largest size that a queue is to get', () => {
    const { session } = open({ queue: { layout: 'split', size: 8 }, resizes: [64] });
    const { queue } = session.openQueues()[0]!;
    queue.reset();
    expect(() => queue.resize(64)).not.toThrow();
    expect(queue.size).toBe(64);
    session.end();
  });
});
