import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { Transport } from '@virtio-platform/core/device';
import type { DmaMapping } from '@virtio-platform/core/dma';
import type { DeviceQueue, Virtqueue } from '@virtio-platform/core/queue';
import { RecordedAddressSpace } from './record/recorded-address-space.ts';
import { DeviceQueueEvents } from './record/device-queue-events.ts';
import { RecordedDmaMapping } from './record/recorded-dma-mapping.ts';
import { RecordedTransport } from './record/recorded-transport.ts';
import { VirtqueueEvents, type PoolUse } from './record/virtqueue-events.ts';
import type { Recorder } from './recorder.ts';

export type { PoolUse } from './record/virtqueue-events.ts';

/** What stands in front of the parts of a run while it is recorded; a `SessionWatch` of the package session, too. */
export interface RecordingWatch {
  transport(transport: Transport): Transport;
  mapping(mapping: DmaMapping, queue: number): DmaMapping;
  queue(queue: Virtqueue): Virtqueue;
}

/**
 * Records what a driver does: with `full` detail each sync and release of a region, too, and how much of the pool is in
 * use that `pool` tells of.
 */
export function watchSession(recorder: Recorder, pool?: () => PoolUse | undefined): RecordingWatch {
  return {
    transport: (transport) => new RecordedTransport(transport, recorder),
    mapping: (mapping, queue) => new RecordedDmaMapping(mapping, queue, recorder),
    queue: (queue) => {
      queue.record(new VirtqueueEvents(queue, recorder, pool));
      return queue;
    },
  };
}

/** What stands in front of the parts of a device in the same thread while it is recorded. */
export interface DeviceRecording {
  addressSpace(space: DeviceAddressSpace): DeviceAddressSpace;
  queue(queue: DeviceQueue, index: number): DeviceQueue;
}

/**
 * Records what a device does: its accesses with `full` detail only. `isPaired` says that the same recorder has the
 * driver's end of each queue, which knows the buffers: then nothing is stored for most of them with `flight` detail.
 */
export function watchDevice(
  recorder: Recorder,
  { isPaired = false }: { readonly isPaired?: boolean } = {},
): DeviceRecording {
  return {
    addressSpace: (space) => (recorder.detail === 'full' ? new RecordedAddressSpace(space, recorder) : space),
    queue: (queue, index) => {
      queue.record(new DeviceQueueEvents(queue, index, recorder, isPaired));
      return queue;
    },
  };
}
