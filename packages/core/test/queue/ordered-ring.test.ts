import { FaultLog, PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import {
  DescriptorChain,
  openDeviceQueue,
  openVirtqueue,
  ScatterList,
  UsedBatch,
  type DeviceQueue,
  type QueueLayout,
  type Virtqueue,
} from '@virtio-platform/core/queue';
import { describe, expect, it, vi } from 'vitest';

interface Traced {
  readonly queue: Virtqueue;
  readonly device: DeviceQueue;
  /** Runs an operation and returns its ordered accesses and barriers, in order: `|` is a barrier. */
  readonly trace: (operation: () => unknown) => string;
}

/** Both ends of a ring whose mapping has a barrier. */
function open(layout: QueueLayout, barrier: 'platform' | 'none' = 'platform'): Traced {
  const memory = new GuestMemory(new SharedArrayBuffer(0x1_0000));
  let seen = '';
  const mapping = new DirectDmaMapping(memory, { path: 'physical', capacity: 8 });
  const shared = {
    eventIdx: true,
    byteOrder: 'little',
    barrier: barrier === 'none' ? undefined : () => void (seen += '|'),
  } as const;
  const queue = openVirtqueue(layout, memory, mapping, {
    ...shared,
    index: 0,
    size: 4,
    indirect: 0,
    legacyLayout: false,
    usedLength: 'strict',
  });
  const space = PHYSICAL_ADDRESS_SPACE.open(memory, new FaultLog(), undefined);
  const device = openDeviceQueue(layout, space, { ...shared, addresses: queue.addresses, indirect: false });
  return {
    queue,
    device,
    trace(operation) {
      seen = '';
      const { load, store } = Atomics;
      const loads = vi.spyOn(Atomics, 'load').mockImplementation(((view: Uint16Array, index: number) => {
        seen += 'L';
        return load(view, index);
      }) as typeof Atomics.load);
      const stores = vi.spyOn(Atomics, 'store').mockImplementation(((
        view: Uint16Array,
        index: number,
        value: number,
      ) => {
        seen += 'S';
        return store(view, index, value);
      }) as typeof Atomics.store);
      try {
        operation();
      } finally {
        loads.mockRestore();
        stores.mockRestore();
      }
      return seen;
    },
  };
}

function add(queue: Virtqueue): void {
  const list = new ScatterList(1);
  list.addWritable(0x8000, 16);
  expect(queue.add(list)).toBe(0);
}

describe.each(['split', 'packed'] as const)('a %s ring with ORDER_PLATFORM', (layout) => {
  it('D27 has a barrier before what it publishes, and before it looks whether to notify', () => {
    const { queue, trace } = open(layout);
    add(queue);
    expect(trace(() => queue.publish())).toBe('|S|L');
  });

  it('D27 has a barrier behind what tells that there is a used buffer', () => {
    const { queue, device, trace } = open(layout);
    add(queue);
    queue.publish();
    const chain = new DescriptorChain(4);
    expect(trace(() => device.pop(chain))).toBe('L|');
    device.push(chain.head, 4);
    expect(trace(() => device.flush())).toBe('|S|L');
    const batch = new UsedBatch(1);
    expect(trace(() => queue.takeUsed(batch))).toBe('L|');
    expect(batch.written[0]).toBe(4);
  });

  it('has a barrier between asking for a notification and looking again, at both ends', () => {
    const { queue, device, trace } = open(layout);
    expect(trace(() => queue.enableNotifications())).toBe('S|L|');
    expect(trace(() => queue.enableNotificationsDelayed())).toBe('S|L|');
    expect(trace(() => device.enableNotifications())).toBe('S|L|');
  });
});

describe.each(['split', 'packed'] as const)('a %s ring without it', (layout) => {
  it('has none, and the same accesses', () => {
    const { queue, device, trace } = open(layout, 'none');
    add(queue);
    expect(trace(() => queue.publish())).toBe('SL');
    const chain = new DescriptorChain(4);
    expect(trace(() => device.pop(chain))).toBe('L');
    device.push(chain.head, 4);
    expect(trace(() => device.flush())).toBe('SL');
    expect(trace(() => queue.takeUsed(new UsedBatch(1)))).toBe('L');
    expect(trace(() => queue.enableNotifications())).toBe('SL');
  });
});
