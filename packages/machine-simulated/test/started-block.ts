import { BLOCK_FEATURES, VIRTIO_BLK_F_FLUSH, BlockDriver, readBlockConfig } from '@virtio-platform/device-block';
import { type BootedMachine, type DriverQueue } from '@virtio-platform/core';
import { initializeDevice, startDevice } from '@virtio-platform/core/device';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import {
  FeatureSet,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_EVENT_IDX,
} from '@virtio-platform/core/features';
import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import { openVirtqueue, ScatterList, type QueueLayout, type Virtqueue } from '@virtio-platform/core/queue';

/** A block device at work, with its driver, and one queue. */
export interface StartedBlock {
  readonly queue: Virtqueue;
  readonly driver: BlockDriver;
  /** Adds one request of one sector and publishes it. Returns whether the device wants to be notified. */
  publish(type: number): boolean;
  notify(): void;
  /** Waits a while for requests, and returns their statuses. */
  collect(): number[];
}

/** Negotiates with the device of a booted machine. */
function negotiate({ transport }: BootedMachine, layout: QueueLayout, eventIdx: boolean): FeatureSet {
  const bits = [VIRTIO_F_VERSION_1, VIRTIO_BLK_F_FLUSH];
  if (layout === 'packed') bits.push(VIRTIO_F_RING_PACKED);
  if (eventIdx) bits.push(VIRTIO_RING_F_EVENT_IDX);
  const { accepted, refusal } = initializeDevice(transport, {
    deviceFeatures: BLOCK_FEATURES,
    supported: FeatureSet.of(...bits),
    traits: {
      restrictedMemory: false,
      isolates: false,
      mappedPath: 'identity',
      identityVerified: true,
      addressMeaning: '',
    },
    rules: [],
    privilege: 'kernel',
  });
  if (refusal !== undefined) throw new Error(refusal.reason);
  return accepted;
}

function openQueue(memory: GuestMemory, layout: QueueLayout, eventIdx: boolean): DriverQueue {
  const mapping = new DirectDmaMapping(memory, { path: 'identity', capacity: 1024 });
  const queue = openVirtqueue(layout, memory, mapping, {
    index: 0,
    size: 16,
    eventIdx,
    indirect: 0,
    byteOrder: 'little',
    usedLength: 'strict',
  });
  return { queue, mapping };
}

/** Brings up a device whose queue 0 receives, such as a console. */
export function startReceiving(
  machine: BootedMachine,
  layout: QueueLayout,
): { readonly queue: Virtqueue; publish(): boolean; notify(): void } {
  const { transport, memory } = machine;
  negotiate(machine, layout, false);
  const { queue } = openQueue(memory, layout, false);
  transport.enableQueue(0, queue.addresses);
  startDevice(transport);
  const list = new ScatterList(1);
  list.addWritable(memory.allocate(PAGE_SIZE), 64);
  return {
    queue,
    publish() {
      queue.add(list);
      return queue.publish();
    },
    notify: () => transport.notify(0, queue.nextAvailable),
  };
}

/** Brings the block device of a booted machine up. */
export function startBlock(
  machine: BootedMachine,
  layout: QueueLayout = 'split',
  eventIdx: boolean = true,
): StartedBlock {
  const { transport, memory } = machine;
  const accepted = negotiate(machine, layout, eventIdx);
  const { queue, mapping } = openQueue(memory, layout, eventIdx);
  const driver = new BlockDriver(
    memory,
    queue,
    mapping,
    readBlockConfig({ transport, accepted, byteOrder: 'little' }),
    {
      depth: 4,
      maxBytes: 4096,
      buffers: 'streaming',
      byteOrder: 'little',
    },
  );
  transport.enableQueue(0, queue.addresses);
  startDevice(transport);
  return {
    queue,
    driver,
    publish(type) {
      const slot = driver.take();
      if (slot < 0 || driver.submit(slot, type, 0, 512) !== 0) throw new Error('the request was not added');
      return driver.publish();
    },
    notify: () => transport.notify(0, queue.nextAvailable),
    collect() {
      const statuses: number[] = [];
      for (let i = 0; i < 20 && driver.inFlight > 0; i++) {
        const came = driver.poll();
        for (let j = 0; j < came; j++) {
          statuses.push(driver.completedStatus[j]!);
          driver.give(driver.completedSlots[j]!);
        }
        if (came === 0 && queue.enableNotifications() && transport.wait(100) === 'lost') break;
      }
      return statuses;
    },
  };
}
