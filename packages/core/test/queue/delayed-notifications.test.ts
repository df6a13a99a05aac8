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
import { describe, expect, it } from 'vitest';

const SIZE = 8;

/** Both ends with EVENT_IDX, and as many buffers of `segments` as fit, popped by the device. */
function popped(layout: QueueLayout, segments: number): { queue: Virtqueue; device: DeviceQueue; ids: number[] } {
  const memory = new GuestMemory(new SharedArrayBuffer(0x1_0000));
  const mapping = new DirectDmaMapping(memory, { path: 'physical', capacity: 64 });
  const shared = { byteOrder: 'little', eventIdx: true } as const;
  const options = { ...shared, index: 0, size: SIZE, indirect: 0, legacyLayout: false, usedLength: 'strict' } as const;
  const queue = openVirtqueue(layout, memory, mapping, options);
  const space = PHYSICAL_ADDRESS_SPACE.open(memory, new FaultLog(), undefined);
  const device = openDeviceQueue(layout, space, { ...shared, addresses: queue.addresses, indirect: false });
  const list = new ScatterList(segments);
  const chain = new DescriptorChain(SIZE);
  const ids: number[] = [];
  for (let i = 0; i < SIZE / segments; i++) {
    list.clear();
    for (let k = 0; k < segments; k++) list.addWritable(0x8000 + (i * segments + k) * 16, 16);
    ids.push(queue.add(list));
  }
  queue.publish();
  for (const _ of ids) expect(device.pop(chain)).toBe(true);
  return { queue, device, ids };
}

function use(device: DeviceQueue, id: number): boolean {
  device.push(id, 1);
  return device.flush();
}

describe.each(['split', 'packed'] as const)('enableNotificationsDelayed on a %s ring', (layout) => {
  it.each([1, 2])('asks once, when three quarters of the buffers of %d segments are back', (segments) => {
    const { queue, device, ids } = popped(layout, segments);
    expect(queue.enableNotificationsDelayed()).toBe(true);
    const notified = ids.map((id) => use(device, id));
    expect(notified.filter(Boolean)).toHaveLength(1);
    expect(notified.indexOf(true) + 1).toBeGreaterThan((ids.length * 3) / 4);
    expect(queue.takeUsed(new UsedBatch(SIZE))).toBe(ids.length);
  });

  it('says so when they are already back', () => {
    const { queue, device, ids } = popped(layout, 1);
    for (const id of ids) use(device, id);
    expect(queue.enableNotificationsDelayed()).toBe(false);
  });

  it('R-02 says so when as many are back as it would wait for, though a list hides the place of its event', () => {
    // Two buffers of four slots: in a packed ring the event is at slot 6, which stays as it is in the middle of the second.
    const { queue, device, ids } = popped(layout, 4);
    for (const id of ids) use(device, id);
    expect(queue.enableNotificationsDelayed()).toBe(false);
    expect(queue.takeUsed(new UsedBatch(2))).toBe(2);
    expect(queue.enableNotificationsDelayed()).toBe(true);
  });

  it('R-02 looks at the place that changes next, not inside a list', () => {
    const { queue, device, ids } = popped(layout, 2);
    use(device, ids[0]!);
    expect(queue.enableNotifications()).toBe(false);
    expect(queue.takeUsed(new UsedBatch(1))).toBe(1);
    expect(queue.enableNotificationsDelayed()).toBe(true);
    expect([use(device, ids[1]!), use(device, ids[2]!), use(device, ids[3]!)].filter(Boolean)).toHaveLength(1);
  });
});
