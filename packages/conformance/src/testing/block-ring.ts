import type { BootedMachine } from '@virtio-platform/core';
import { DeviceStatus, resetDevice, type WaitResult } from '@virtio-platform/core/device';
import type { DmaMapping } from '@virtio-platform/core/dma';
import {
  FeatureSet,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '@virtio-platform/core/features';
import { ScatterList, SplitVirtqueue, UsedBatch } from '@virtio-platform/core/queue';
import { acceptFeatures } from './accept-features.ts';
import { ringOptions } from './ring-pair.ts';
/** Bytes of a sector (VIRTIO_BLK, specification 1.4 section 5.2.6). */
export const SECTOR = 512;
/** Request type VIRTIO_BLK_T_IN: the device writes the data. */
export const READ = 0;
/** Request type VIRTIO_BLK_T_OUT: the device reads the data. */
export const WRITE = 1;
/** The features that {@link BlockRing} accepts where the device offers them. */
const RING_FEATURES = FeatureSet.of(
  VIRTIO_F_VERSION_1,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
);

/**
 * A minimal block driver over a booted machine: one request at a time, on queue 0, a split ring. Each method throws an
 * Error where the device or the ring refuses a step.
 */
export class BlockRing {
  readonly machine: BootedMachine;
  readonly queue: SplitVirtqueue;
  readonly #header: number;
  readonly #status: number;
  readonly #list = new ScatterList(8);
  readonly #batch = new UsedBatch(8);

  /** Negotiates and enables queue 0 over `mapping`. */
  constructor(machine: BootedMachine, mapping: DmaMapping, size = 64) {
    this.machine = machine;
    const { transport, memory } = machine;
    const accepted = transport.readDeviceFeatures().and(RING_FEATURES);
    acceptFeatures(transport, accepted);
    this.queue = new SplitVirtqueue(
      memory,
      mapping,
      ringOptions({
        size,
        eventIdx: accepted.has(VIRTIO_RING_F_EVENT_IDX),
        indirect: accepted.has(VIRTIO_RING_F_INDIRECT_DESC) ? 8 : 0,
      }),
    );
    this.#header = memory.allocate(16, 16);
    this.#status = memory.allocate(1, 16);
    transport.enableQueue(0, this.queue.addresses);
    transport.writeStatus(transport.readStatus() | DeviceStatus.DriverOk);
  }

  /** The status byte of the last request; 255 while the device has not written it. */
  get status(): number {
    return this.machine.memory.u8[this.#status]!;
  }

  /** Submits a request of `length` bytes at guest address `data` without waiting for it. */
  submit(type: number, sector: number, data: number, length: number): void {
    const { memory, transport } = this.machine;
    memory.u32.set([type, 0, sector, 0], this.#header / 4);
    memory.u8[this.#status] = 0xff;
    this.#list.clear();
    this.#list.addReadable(this.#header, 16);
    if (type === WRITE) this.#list.addReadable(data, length);
    else this.#list.addWritable(data, length);
    this.#list.addWritable(this.#status, 1);
    if (this.queue.add(this.#list) < 0) throw new Error('the request was not added');
    this.queue.publish();
    transport.notify(0, 0);
  }

  /** Waits until the device returns the request. Returns what ended the wait: `notified` when the request came back. */
  finish(timeoutMs = 5000): WaitResult {
    const deadline = performance.now() + timeoutMs;
    while (this.queue.takeUsed(this.#batch) === 0) {
      if (!this.queue.enableNotifications()) continue;
      const left = deadline - performance.now();
      const result = left > 0 ? this.machine.transport.wait(left) : 'timeout';
      if (result !== 'notified') return result;
    }
    return 'notified';
  }

  /** Submits a request, waits for it and returns its status byte. Throws an Error when it does not come back. */
  request(type: number, sector: number, data: number, length: number): number {
    this.submit(type, sector, data, length);
    const result = this.finish();
    if (result !== 'notified') throw new Error(`the request did not come back: ${result}`);
    return this.status;
  }

  /**
   * As {@link request}, of a driver that does not block: before the request comes back, waits for `nextCall` of the
   * listener of `Transport.watch`, which rejects where none comes.
   */
  async requestWatched(
    nextCall: () => Promise<void>,
    ...[type, sector, data, length]: Parameters<BlockRing['request']>
  ): Promise<number> {
    // Before the request, so that its completion owes a notification, however fast the device is.
    this.queue.enableNotifications();
    this.submit(type, sector, data, length);
    do {
      await nextCall();
      if (this.machine.transport.wait(0) === 'lost') throw new Error('the request did not come back: lost');
    } while (this.queue.takeUsed(this.#batch) === 0);
    return this.status;
  }

  /** Resets the device and frees the ring. */
  end(): void {
    resetDevice(this.machine.transport);
    this.queue.reset();
    this.queue.dispose();
    this.machine.memory.free(this.#header);
    this.machine.memory.free(this.#status);
  }
}
