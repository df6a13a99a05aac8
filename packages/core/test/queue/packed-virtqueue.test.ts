import { DirectDmaMapping, DMA_NO_SPACE } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import {
  advance,
  FIRST_POSITION,
  PackedRing,
  PackedVirtqueue,
  QUEUE_BROKEN,
  QUEUE_FULL,
  RING_EVENT_FLAGS_DESC,
  RING_EVENT_FLAGS_DISABLE,
  ScatterList,
  slotOf,
  UsedBatch,
  usedFlags,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_WRITE,
  type UsedLengthPolicy,
} from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';

const BUFFER = 0x8000;

interface Options {
  readonly size?: number;
  readonly capacity?: number;
  readonly indirect?: number;
  readonly eventIdx?: boolean;
  readonly usedLength?: UsedLengthPolicy;
}

/** A device that writes whatever it likes into a packed ring. */
class RawPackedDevice {
  readonly memory = new GuestMemory(new SharedArrayBuffer(0x1_0000));
  readonly mapping: DirectDmaMapping;
  readonly queue: PackedVirtqueue;
  readonly ring: PackedRing;
  readonly batch = new UsedBatch(16);
  readonly #list = new ScatterList(8);
  readonly #size: number;
  position = FIRST_POSITION;

  constructor({ size = 4, capacity = 64, indirect = 0, eventIdx = false, usedLength = 'strict' }: Options = {}) {
    this.#size = size;
    this.mapping = new DirectDmaMapping(this.memory, { path: 'physical', capacity });
    this.queue = new PackedVirtqueue(this.memory, this.mapping, { index: 0, size, indirect, eventIdx, usedLength });
    const [descriptor, , driver, , device] = this.queue.addresses.words as unknown as [
      number,
      number,
      number,
      number,
      number,
    ];
    this.ring = new PackedRing(this.memory, descriptor, driver, device);
  }

  /** Adds a request of `readable` and `writable` segments of 16 bytes. */
  add(readable: number, writable: number): number {
    this.#list.clear();
    for (let i = 0; i < readable; i++) this.#list.addReadable(BUFFER + i * 16, 16);
    for (let i = 0; i < writable; i++) this.#list.addWritable(BUFFER + (readable + i) * 16, 16);
    return this.queue.add(this.#list);
  }

  /** Writes a used descriptor at the next position and goes on by `slots`. */
  use(id: number, length: number, flags: number = VIRTQ_DESC_F_WRITE, slots = 1): void {
    const slot = slotOf(this.position);
    this.ring.writeUsed(slot, id, length);
    this.ring.publishFlags(slot, flags | usedFlags(this.position));
    this.position = advance(this.position, slots, this.#size);
  }

  take(): { id: number; written: number }[] {
    const count = this.queue.takeUsed(this.batch);
    return Array.from({ length: count }, (_, i) => ({ id: this.batch.ids[i]!, written: this.batch.written[i]! }));
  }
}

function withOne(options: Options = {}, readable = 0, writable = 1): RawPackedDevice {
  const device = new RawPackedDevice(options);
  device.add(readable, writable);
  device.queue.publish();
  return device;
}

function expectBroken(device: RawPackedDevice, code: string): void {
  expect(device.take()).toEqual([]);
  expect(device.queue.broken?.code).toBe(code);
  expect(device.add(1, 0)).toBe(QUEUE_BROKEN);
  expect(device.queue.publish()).toBe(false);
  const { outstanding } = device.queue;
  expect(device.queue.reset()).toHaveLength(outstanding);
  device.queue.dispose();
  expect(device.mapping.statistics.live).toBe(0);
}

describe('PackedVirtqueue', () => {
  it('writes what section 2.8 says: a list of three, its id in every slot', () => {
    const device = new RawPackedDevice();
    const id = device.add(1, 2);
    device.queue.publish();
    const NEXT = VIRTQ_DESC_F_NEXT;
    const WRITE = VIRTQ_DESC_F_WRITE;
    expect([0, 1, 2, 3].map((slot) => device.ring.flags(slot))).toEqual([
      0x80 | NEXT,
      0x80 | NEXT | WRITE,
      0x80 | WRITE,
      0,
    ]);
    expect([0, 1, 2].map((slot) => device.ring.low(slot))).toEqual([BUFFER, BUFFER + 16, BUFFER + 32]);
    expect([0, 1, 2].map((slot) => device.ring.id(slot))).toEqual([id, id, id]);
  });

  it('refers to a table by one descriptor', () => {
    const device = new RawPackedDevice({ indirect: 4 });
    device.add(1, 2);
    device.queue.publish();
    expect(device.ring.flags(0)).toBe(0x80 | VIRTQ_DESC_F_INDIRECT);
    expect(device.ring.length(0)).toBe(48);
    const table = device.ring.low(0) / 4;
    expect([...device.memory.u32.subarray(table, table + 12)]).toEqual([
      BUFFER,
      0,
      16,
      0,
      BUFFER + 16,
      0,
      16,
      VIRTQ_DESC_F_WRITE << 16,
      BUFFER + 32,
      0,
      16,
      VIRTQ_DESC_F_WRITE << 16,
    ]);
  });

  it('is full when its slots are, and shows nothing before publish', () => {
    const device = new RawPackedDevice({ size: 3 });
    expect(device.add(1, 1)).toBeGreaterThanOrEqual(0);
    expect(device.add(1, 1)).toBe(QUEUE_FULL);
    expect(device.ring.flags(0)).toBe(0);
    device.queue.publish();
    expect(device.ring.flags(0)).not.toBe(0);
  });

  it('M1 leaves the ring as it was when the third segment cannot be mapped', () => {
    const device = new RawPackedDevice({ capacity: 2 });
    const live = device.mapping.statistics.live;
    expect(device.add(1, 2)).toBe(DMA_NO_SPACE);
    expect(device.mapping.statistics.live).toBe(live);
    expect(device.queue.publish()).toBe(false);
    expect([0, 1, 2].map((slot) => device.ring.flags(slot))).toEqual([0, 0, 0]);
    expect(device.add(1, 1)).toBeGreaterThanOrEqual(0);
    device.queue.publish();
    expect(device.ring.flags(2)).toBe(0);
  });

  it('M1 gives back what it mapped of a table that does not fit', () => {
    const device = new RawPackedDevice({ capacity: 2, indirect: 4 });
    const { live } = device.mapping.statistics;
    expect(device.add(1, 2)).toBe(DMA_NO_SPACE);
    expect(device.mapping.statistics.live).toBe(live);
    expect(device.add(1, 1)).toBeGreaterThanOrEqual(0);
  });

  it('asks for notifications by its own position, and sees what already arrived', () => {
    const device = withOne({ eventIdx: true });
    expect(device.queue.enableNotifications()).toBe(true);
    expect(device.ring.driverEvent()).toBe((0x8000 | (RING_EVENT_FLAGS_DESC << 16)) >>> 0);
    device.use(0, 1);
    expect(device.queue.enableNotifications()).toBe(false);
    device.queue.disableNotifications();
    expect(device.ring.driverEvent()).toBe(RING_EVENT_FLAGS_DISABLE << 16);
  });
});

describe('PackedVirtqueue with a hostile device', () => {
  it.each([4, 5, 0xffff])('D01 D02 D30 breaks over id %d in a queue of 4', (id) => {
    const device = withOne();
    device.use(id, 1);
    expectBroken(device, 'used-id-out-of-range');
  });

  it('D03 breaks over an id that was never given', () => {
    const device = withOne();
    device.use(3, 1);
    expectBroken(device, 'used-id-not-outstanding');
  });

  it('D04 D32 breaks over an id that was already used', () => {
    const device = withOne();
    device.use(0, 1);
    device.use(0, 1);
    expect(device.take()).toEqual([{ id: 0, written: 1 }]);
    expectBroken(device, 'used-id-not-outstanding');
  });

  it('D03 breaks over a buffer that was added and not published', () => {
    const device = new RawPackedDevice();
    device.add(0, 1);
    device.use(0, 1);
    expectBroken(device, 'used-id-not-outstanding');
  });

  it('D09 D12 breaks over a length beyond the writable part, where the policy is strict', () => {
    for (const length of [17, 0xffff_ffff]) {
      const device = withOne();
      device.use(0, length);
      expectBroken(device, 'used-length-too-large');
    }
  });

  it('D14 cuts or ignores it where the policy says so', () => {
    for (const usedLength of ['clamp', 'ignore'] as const) {
      const device = withOne({ usedLength });
      device.use(0, 999);
      expect(device.take()).toEqual([{ id: 0, written: 16 }]);
    }
  });

  it('D28 breaks over used flags where nothing is outstanding', () => {
    const device = new RawPackedDevice();
    device.use(0, 0);
    expectBroken(device, 'used-id-not-outstanding');
  });

  it('D29 does not take flags of another lap for used', () => {
    const device = withOne();
    device.ring.publishFlags(0, 0);
    expect(device.take()).toEqual([]);
    expect(device.queue.broken).toBeUndefined();
  });

  it('D31 skips as many slots as it gave to the buffer, whatever the ring says', () => {
    const device = new RawPackedDevice();
    const long = device.add(2, 1);
    const short = device.add(0, 1);
    device.queue.publish();
    device.use(long, 5, VIRTQ_DESC_F_WRITE | VIRTQ_DESC_F_NEXT, 3);
    device.use(short, 4, VIRTQ_DESC_F_WRITE, 1);
    expect(device.take()).toEqual([
      { id: long, written: 5 },
      { id: short, written: 4 },
    ]);
    expect(device.queue.outstanding).toBe(0);
  });

  it('D31 breaks over the id of a longer list than the one whose slot is next, when it is used for both', () => {
    const device = new RawPackedDevice();
    device.add(0, 1);
    const long = device.add(2, 1);
    device.queue.publish();
    device.use(long, 5, VIRTQ_DESC_F_WRITE, 3);
    device.use(long, 5, VIRTQ_DESC_F_WRITE, 1);
    expect(device.take()).toEqual([{ id: long, written: 5 }]);
    expectBroken(device, 'used-id-not-outstanding');
  });

  it('D33 takes no length where WRITE is clear', () => {
    const device = withOne();
    device.use(0, 16, 0);
    expect(device.take()).toEqual([{ id: 0, written: 0 }]);
  });

  it('D10 D34 breaks over bytes written to a buffer that is only readable', () => {
    const device = withOne({}, 1, 0);
    device.use(0, 1);
    expectBroken(device, 'used-length-too-large');
  });

  it('D35 ignores NEXT and INDIRECT in a used descriptor', () => {
    const device = withOne();
    device.add(0, 1);
    device.queue.publish();
    device.use(0, 3, VIRTQ_DESC_F_WRITE | VIRTQ_DESC_F_NEXT | VIRTQ_DESC_F_INDIRECT);
    device.use(1, 4, VIRTQ_DESC_F_WRITE | VIRTQ_DESC_F_NEXT);
    expect(device.take()).toEqual([
      { id: 0, written: 3 },
      { id: 1, written: 4 },
    ]);
  });

  it.each([
    ['reserved flags', 3 << 16, true],
    ['an offset beyond the queue', 0x7fff | (RING_EVENT_FLAGS_DESC << 16), false],
    ['the other lap', 0 | (RING_EVENT_FLAGS_DESC << 16), false],
    ['the slot just made available', 0x8000 | (RING_EVENT_FLAGS_DESC << 16), true],
    ['never', RING_EVENT_FLAGS_DISABLE << 16, false],
  ])('D36 R-15 decides about a notification where the event structure says %s', (_, event, notifies) => {
    const device = new RawPackedDevice({ eventIdx: true });
    device.add(1, 0);
    Atomics.store(device.memory.u32, device.queue.addresses.words[4]! / 4, event);
    expect(device.queue.publish()).toBe(notifies);
  });

  it('D36 takes DESC without EVENT_IDX for always', () => {
    const device = new RawPackedDevice();
    device.add(1, 0);
    Atomics.store(device.memory.u32, device.queue.addresses.words[4]! / 4, 0x7000 | (RING_EVENT_FLAGS_DESC << 16));
    expect(device.queue.publish()).toBe(true);
  });

  it('D37 D15 D16 D17 D20 is not led astray by what a device writes over buffers in flight', () => {
    const device = new RawPackedDevice({ indirect: 4 });
    const [first, second] = [device.add(1, 2), device.add(0, 1)];
    device.queue.publish();
    const [descriptors] = device.queue.addresses.words;
    for (let i = 0; i < 4; i++) device.ring.writeDescriptor(i, 0xdead_beef, 0xffff_ffff, 0xffff_ffff, 0xffff);
    device.memory.u8.fill(0xee, descriptors! + 0x40, descriptors! + 0x80);
    device.use(first, 20);
    device.use(second, 1);
    expect(device.take()).toEqual([
      { id: first, written: 20 },
      { id: second, written: 1 },
    ]);
    device.queue.dispose();
    expect(device.mapping.statistics.live).toBe(0);
  });

  it('D08 does no more work in one call than the batch is long, though the device goes on for ever', () => {
    const device = new RawPackedDevice();
    for (let i = 0; i < 4; i++) device.add(0, 1);
    device.queue.publish();
    for (let i = 0; i < 4; i++) device.use(i, 1);
    const batch = new UsedBatch(3);
    for (const taken of [3, 1, 0]) expect(device.queue.takeUsed(batch)).toBe(taken);
    expect(device.queue.takeUsed(new UsedBatch(0))).toBe(0);
    for (let lap = 0; lap < 3; lap++) for (let slot = 0; slot < 4; slot++) device.use(slot, 1);
    expect(device.queue.takeUsed(batch)).toBe(0);
    expect(device.queue.broken?.code).toBe('used-id-not-outstanding');
  });
});
