import { acceptFeatures, ringOptions } from '@virtio-platform/conformance/testing';
import type { BootedMachine } from '@virtio-platform/core';
import { DeviceStatus, resetDevice, type WaitResult } from '@virtio-platform/core/device';
import { DmaDirection, type DmaMapping, type DmaRegion } from '@virtio-platform/core/dma';
import { VIRTIO_F_RING_PACKED, type FeatureSet } from '@virtio-platform/core/features';
import { openVirtqueue, ScatterList, UsedBatch, type QueueLayout, type Virtqueue } from '@virtio-platform/core/queue';

const RECEIVE = 0;
const TRANSMIT = 1;
/** Of specification 1.0 and later. */
export const HEADER = 12;

/** A region whose descriptor has address `iova`, mapped or not. */
export function claim(iova: number, length: number): DmaRegion {
  return {
    address: 0,
    length,
    direction: DmaDirection.Bidirectional,
    writeDeviceAddress(offset, words, at) {
      words[at] = (iova + offset) % 2 ** 32;
      words[at + 1] = Math.floor((iova + offset) / 2 ** 32);
    },
    syncForDevice() {},
    syncForCpu() {},
    release() {},
  };
}

/** A network driver as small as it gets: it says where its packets are, and maps nothing but its rings. */
export class NetRing {
  readonly machine: BootedMachine;
  readonly queues: readonly Virtqueue[];
  readonly #list = new ScatterList(2);
  readonly #batch = new UsedBatch(8);

  /** Negotiates all that is offered and enables both queues. */
  constructor(machine: BootedMachine, openMapping: (queue: number) => DmaMapping, layout: QueueLayout = 'split') {
    this.machine = machine;
    const { transport, memory } = machine;
    const offered = transport.readDeviceFeatures();
    const accepted: FeatureSet = layout === 'packed' ? offered : offered.without(VIRTIO_F_RING_PACKED);
    acceptFeatures(transport, accepted);
    this.queues = [RECEIVE, TRANSMIT].map((index) =>
      openVirtqueue(layout, memory, openMapping(index), ringOptions({ index, size: 64 })),
    );
    for (const queue of this.queues) transport.enableQueue(queue.index, queue.addresses);
    transport.writeStatus(transport.readStatus() | DeviceStatus.DriverOk);
  }

  /** Gives the device a buffer for one packet. */
  receive(region: DmaRegion): void {
    this.#list.clear();
    this.#list.addWritableRegion(region, 0, region.length);
    this.#add(RECEIVE);
  }

  /** Sends a packet with its header. */
  send(region: DmaRegion): void {
    this.#list.clear();
    this.#list.addReadableRegion(region, 0, region.length);
    this.#add(TRANSMIT);
  }

  /** Waits for a packet. Returns its length with the header, or what else ended the wait. */
  arrived(timeoutMs = 10_000): number | Exclude<WaitResult, 'notified'> {
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      this.queues[TRANSMIT]!.takeUsed(this.#batch);
      if (this.queues[RECEIVE]!.takeUsed(this.#batch) > 0) return this.#batch.written[0]!;
      if (!this.queues[RECEIVE]!.enableNotifications()) continue;
      const left = deadline - performance.now();
      const result = left > 0 ? this.machine.transport.wait(left) : 'timeout';
      if (result !== 'notified') return result;
    }
  }

  /** Whether the packets that were sent came back to the driver, whatever became of them. */
  get isSent(): boolean {
    this.queues[TRANSMIT]!.takeUsed(this.#batch);
    return this.queues[TRANSMIT]!.outstanding === 0;
  }

  /** Resets the device and gives the rings back. */
  end(): void {
    resetDevice(this.machine.transport);
    for (const queue of this.queues) {
      queue.reset();
      queue.dispose();
    }
  }

  #add(index: number): void {
    const queue = this.queues[index]!;
    if (queue.add(this.#list) < 0) throw new Error('the packet was not added');
    queue.publish();
    this.machine.transport.notify(index, queue.nextAvailable);
  }
}
