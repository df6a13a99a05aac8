import { KEPT, type DeviceModel, type DeviceQueues, type DriverQueue } from '@virtio-platform/core';
import { FaultLog, PHYSICAL_ADDRESS_SPACE, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { FeatureSet, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { GuestMemory } from '@virtio-platform/core/memory';
import { DescriptorChain, ScatterList, SplitDeviceQueue, SplitVirtqueue, UsedBatch } from '@virtio-platform/core/queue';
import type { ByteOrder } from '@virtio-platform/core/queue';

/** A buffer that came back: what the device wrote to it. */
export type Returned = readonly number[];

interface LoopQueue extends DriverQueue {
  device: SplitDeviceQueue;
  readonly openDevice: () => SplitDeviceQueue;
  readonly chain: DescriptorChain;
  readonly batch: UsedBatch;
  /** By the id of a buffer: where its writable part is. */
  readonly addresses: Map<number, number>;
}

/**
 * A device half behind real rings, without a transport, for a real driver half or for buffers that a test makes itself.
 */
export class DeviceLoop implements DeviceQueues {
  readonly memory: GuestMemory = new GuestMemory(new SharedArrayBuffer(16 * 1024 * 1024));
  readonly faults: FaultLog = new FaultLog();
  /** Errors that the device half answered itself. */
  readonly reported: unknown[] = [];
  readonly space: DeviceAddressSpace = PHYSICAL_ADDRESS_SPACE.open(this.memory, this.faults, undefined);
  readonly #queues: LoopQueue[];
  readonly #model: DeviceModel;
  readonly #allocated: number[] = [];

  constructor(model: DeviceModel, accepted: FeatureSet, byteOrder: ByteOrder = 'little', size = 32) {
    this.#model = model;
    this.#queues = model.queueSizes.map((_, index) => this.#open(index, accepted, byteOrder, size));
    model.start(accepted);
  }

  /** Queues for a driver half. */
  queues(...indices: readonly number[]): DriverQueue[] {
    return indices.map((index) => this.#queues[index]!);
  }

  push(queue: number, head: number, written: number): void {
    this.#queues[queue]!.device.push(head, written);
  }

  report(_queue: number, error: unknown): void {
    this.reported.push(error);
  }

  /** Lets the device handle everything that it wants, as a machine does. */
  serve(): void {
    for (let isBusy = true; isBusy;) {
      isBusy = false;
      this.#queues.forEach(({ device, chain }, index) => {
        while (this.#model.wants(index) && device.pop(chain)) {
          isBusy = true;
          const written = this.#model.process(index, chain, this.space, this);
          if (written !== KEPT) device.push(chain.head, written);
        }
        device.flush();
        if (this.#model.wants(index) && !device.enableNotifications()) isBusy = true;
      });
    }
  }

  /** Resets a queue, on both sides. Returns the ids of the buffers that the driver has again. */
  resetQueue(index: number): number[] {
    const loop = this.#queues[index]!;
    this.#model.forget(index);
    const ids = loop.queue.reset();
    loop.device = loop.openDevice();
    return ids;
  }

  /** Gives the device a buffer: what it reads, and how many bytes it may write. */
  add(index: number, readable: readonly number[] | Uint8Array, writable = 0): void {
    const { queue, addresses } = this.#queues[index]!;
    const list = new ScatterList(2);
    const address = this.memory.allocate(readable.length + writable + 1);
    this.#allocated.push(address);
    this.memory.u8.set(readable, address);
    if (readable.length > 0) list.addReadable(address, readable.length);
    if (writable > 0) list.addWritable(address + readable.length, writable);
    const id = queue.add(list);
    if (id < 0) throw new Error(`the buffer was not added: ${id}`);
    addresses.set(id, address + readable.length);
    queue.publish();
  }

  /** Serves, and takes back what came of the buffers of {@link add}. */
  take(index: number): Returned[] {
    this.serve();
    const { queue, batch, addresses } = this.#queues[index]!;
    const came = queue.takeUsed(batch);
    return Array.from({ length: came }, (_, i) => {
      const address = addresses.get(batch.ids[i]!)!;
      return [...this.memory.u8.subarray(address, address + batch.written[i]!)];
    });
  }

  /** Adds one buffer and returns what came of it. */
  exchange(index: number, readable: readonly number[] | Uint8Array, writable = 0): Returned | undefined {
    this.add(index, readable, writable);
    return this.take(index)[0];
  }

  /**
   * Takes everything back as after a reset, then what `driver` holds, and returns what is left: nothing, if all is
   * well.
   */
  end(driver?: { dispose(): void }): { live: number; allocated: number } {
    for (const { queue } of this.#queues) queue.reset();
    driver?.dispose();
    for (const address of this.#allocated) this.memory.free(address);
    for (const { queue } of this.#queues) queue.dispose();
    const live = this.#queues.reduce((sum, { mapping }) => sum + mapping.statistics.live, 0);
    for (const { mapping } of this.#queues) mapping.dispose();
    this.#model.dispose();
    return { live, allocated: this.memory.allocated };
  }

  #open(index: number, accepted: FeatureSet, byteOrder: ByteOrder, size: number): LoopQueue {
    const mapping = new DirectDmaMapping(this.memory, { path: 'physical', capacity: 1024 });
    const usedLength = accepted.has(VIRTIO_F_VERSION_1) ? 'strict' : 'clamp';
    const options = { index, size, eventIdx: true, indirect: 0, legacyLayout: false, byteOrder, usedLength } as const;
    const queue = new SplitVirtqueue(this.memory, mapping, options);
    const openDevice = (): SplitDeviceQueue =>
      new SplitDeviceQueue(this.space, { addresses: queue.addresses, eventIdx: true, indirect: false, byteOrder });
    const chain = new DescriptorChain(size);
    const batch = new UsedBatch(size);
    return { mapping, queue, device: openDevice(), openDevice, chain, batch, addresses: new Map() };
  }
}

/** What is left of a loop that gave everything back. */
export const NOTHING_LEFT = { live: 0, allocated: 0 } as const;

/** A chain as a hostile driver writes it: no memory needs to be there. */
export function hostileChain(
  readable: readonly [number, number][],
  writable: readonly [number, number][],
): DescriptorChain {
  const chain = new DescriptorChain(16);
  for (const [address, length] of [...readable, ...writable]) {
    chain.low[chain.count] = address % 0x1_0000_0000;
    chain.high[chain.count] = Math.floor(address / 0x1_0000_0000);
    chain.length[chain.count] = length;
    chain.count++;
  }
  chain.readable = readable.length;
  chain.readableBytes = readable.reduce((sum, [, length]) => sum + length, 0);
  chain.bytes = [...readable, ...writable].reduce((sum, [, length]) => sum + length, 0);
  return chain;
}

/** Bytes that differ from their neighbours and from those of another seed. */
export function pattern(length: number, seed = 0): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * 7 + seed) & 0xff);
}
