import { describe, expect, it } from 'vitest';
import { FaultLog, PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import { DirectDmaMapping, DmaDirection } from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
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
import {
  FlightRecorder,
  KIND,
  watchDevice,
  watchSession,
  type TraceDetail,
  type TraceEvent,
} from '@virtio-platform/trace';

const SIZE = 64;

interface RecordedRing {
  readonly recorder: FlightRecorder;
  readonly queue: Virtqueue;
  readonly device: DeviceQueue;
  /** Adds so many buffers of two segments in a region. */
  readonly add: (count: number) => void;
  /** Pops all, and returns them, the last one first. */
  readonly serve: () => void;
}

function openRing(layout: QueueLayout, detail: TraceDetail): RecordedRing {
  const memory = new GuestMemory(new SharedArrayBuffer(64 * PAGE_SIZE));
  const mapping = new DirectDmaMapping(memory, { path: 'identity', capacity: SIZE });
  const region = mapping.premap(memory.allocate(PAGE_SIZE), PAGE_SIZE, DmaDirection.Bidirectional);
  const recorder = new FlightRecorder(4096, { detail });
  const options = { index: 3, size: SIZE, eventIdx: true, indirect: 0, usedLength: 'strict' } as const;
  const queue = watchSession(recorder).queue(openVirtqueue(layout, memory, mapping, options));
  const space = PHYSICAL_ADDRESS_SPACE.open(memory, new FaultLog(), undefined);
  const { addresses } = queue;
  const opened = openDeviceQueue(layout, space, { addresses, eventIdx: true, indirect: false });
  const device = watchDevice(recorder, { isPaired: true }).queue(opened, 3);
  const list = new ScatterList(2);
  return {
    recorder,
    queue,
    device,
    add(count) {
      for (let i = 0; i < count; i++) {
        list.clear();
        list.addReadableRegion(region, 16 * i, 16);
        list.addWritableRegion(region, 2048 + i, i + 1);
        expect(queue.add(list)).toBeGreaterThanOrEqual(0);
      }
    },
    serve() {
      const chain = new DescriptorChain(device.longestChain);
      const heads: [number, number][] = [];
      while (device.pop(chain)) heads.push([chain.head, chain.writableBytes]);
      for (const [head, written] of heads.toReversed()) device.push(head, written);
      device.flush();
    },
  };
}

/** What a recorder has at a fault in the middle of a batch that the device serves one by one. */
function faultIn(layout: QueueLayout, detail: TraceDetail, faultAt: number): readonly TraceEvent[] {
  const { recorder, queue, device, add } = openRing(layout, detail);
  add(10);
  queue.publish();
  const chain = new DescriptorChain(device.longestChain);
  for (let n = 0; n < faultAt; n++) {
    device.pop(chain);
    device.push(chain.head, 1);
  }
  device.pop(chain);
  recorder.note(KIND.fault, 3, 0, 'nothing is mapped there');
  return recorder.read().events;
}

const OF_BUFFERS = ['add', 'pop', 'push', 'takeUsed'];
const briefly = ({ kind, id, length, extra }: TraceEvent): unknown[] => [kind, id, length, extra];

describe.each(['split', 'packed'] as const)('a batch in a flight recorder, %s', (layout) => {
  it('has the same events as one of which each buffer is recorded', () => {
    const [flight, full] = (['flight', 'full'] as const).map((detail) => {
      const ring = openRing(layout, detail);
      const batch = new UsedBatch(SIZE);
      for (const count of [1, 2, 3, 20, 12]) {
        ring.add(count);
        ring.queue.publish();
        ring.serve();
        expect(ring.queue.takeUsed(batch)).toBe(count);
      }
      return ring.recorder.read();
    });
    // What used the same descriptors since is forgotten: of 38 buffers with 2 of 64 descriptors each, all but 32.
    const last = full!.events.filter(({ kind }) => OF_BUFFERS.includes(kind)).slice(-4 * 32);
    const read = flight!.events.filter(({ kind }) => OF_BUFFERS.includes(kind));
    expect(read.slice(-4 * 32).map(briefly)).toEqual(last.map(briefly));
    expect(flight!.dropped + flight!.events.length).toBe(full!.events.length);
    const [index, other] = [flight!, full!].map(({ events }) => events.at(-1)!.index);
    expect(index).toBe(other);
  });

  it.each([
    ['one by one', 0, 0],
    ['one by one, with a fault in the middle', 0, 7],
    ['with two in flight, from the second batch on', 2, 0],
  ])('has the events of a device in their order that serves %s', (_, kept, faultAt) => {
    const [flight, full] = (['flight', 'full'] as const).map((detail) => {
      const { recorder, queue, device, add } = openRing(layout, detail);
      const batch = new UsedBatch(SIZE);
      const chain = new DescriptorChain(device.longestChain);
      const held: number[] = [];
      for (let turn = 0; turn < 3; turn++) {
        add(10);
        queue.publish();
        for (let n = 0; device.pop(chain); n++) {
          held.push(chain.head);
          if (turn === 2 && faultAt > 0 && n === faultAt) recorder.note(KIND.fault, 3, 0, 'nothing is mapped there');
          if (held.length > kept) device.push(held.shift()!, 1);
        }
        device.flush();
        queue.takeUsed(batch);
      }
      // Of the last batch: those before it are partly forgotten.
      return recorder.read().events.slice(-22 - (faultAt > 0 ? 1 : 0));
    });
    if (faultAt > 0) {
      // A length that the driver was not shown before the fault is not known in a flight recorder, at the fault alone.
      const [ring, all] = ['flight' as const, 'full' as const].map((detail) => faultIn(layout, detail, faultAt));
      expect(ring!.map(({ kind, id }) => [kind, id])).toEqual(all!.map(({ kind, id }) => [kind, id]));
      expect(ring!.filter(({ kind, extra }) => kind === 'push' && extra === 1).length).toBeGreaterThan(0);
    }
    expect(flight!.map(briefly)).toEqual(full!.map(briefly));
    expect(flight!.filter(({ kind }) => kind === 'fault')).toHaveLength(faultAt > 0 ? 1 : 0);
  });

  it('tells what was added and not published, popped and not returned, and returned and not taken back', () => {
    const { recorder, queue, device, add, serve } = openRing(layout, 'flight');
    add(10);
    queue.publish();
    serve();
    add(5);
    queue.publish();
    const chain = new DescriptorChain(device.longestChain);
    while (device.pop(chain));
    add(4);
    const count = (kind: string): number => recorder.read().events.filter((event) => event.kind === kind).length;
    expect(OF_BUFFERS.map(count)).toEqual([19, 15, 10, 0]);
    const events = recorder.read().events.filter(({ kind }) => kind === 'push');
    expect(events.map(({ length }) => length)).toEqual([10, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
  });

  it('has a fault behind what came before it', () => {
    const { recorder, queue, device, add } = openRing(layout, 'flight');
    add(8);
    queue.publish();
    const chain = new DescriptorChain(device.longestChain);
    for (let i = 0; i < 5; i++) device.pop(chain);
    recorder.note(KIND.fault, -1, 0, 'nothing is mapped there');
    while (device.pop(chain));
    const kinds = recorder.read().events.map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind !== 'add' && kind !== 'publish')).toEqual([
      ...Array(5).fill('pop'),
      'fault',
      ...Array(3).fill('pop'),
    ]);
  });

  it('keeps what a reset takes away', () => {
    const { recorder, queue, add } = openRing(layout, 'flight');
    add(6);
    queue.publish();
    const ids = queue.reset();
    add(6);
    const read = recorder.read().events;
    expect(read.filter(({ kind }) => kind === 'add')).toHaveLength(12);
    expect(read.filter(({ kind }) => kind === 'takeBack').map(({ id }) => id)).toEqual(ids);
  });
});
