import { FaultLog, PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import {
  advance,
  availableFlags,
  DescriptorChain,
  FIRST_POSITION,
  isUsed,
  PackedDeviceQueue,
  PackedRing,
  RING_EVENT_FLAGS_DESC,
  slotOf,
  VIRTQ_DESC_F_AVAIL,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_USED,
  VIRTQ_DESC_F_WRITE,
} from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';

const DESCRIPTORS = 0x1000;
const DRIVER = 0x2000;
const DEVICE = 0x2010;
const TABLE = 0x3000;
const BUFFER = 0x4000;

interface Descriptor {
  readonly address?: number;
  readonly high?: number;
  readonly length?: number;
  readonly id?: number;
  /** Without those that make it available. */
  readonly flags?: number;
  /** Instead of what makes it available at its position. */
  readonly mark?: number;
}

/** A driver that writes whatever it likes into a packed ring. */
class RawPackedDriver {
  readonly memory = new GuestMemory(new SharedArrayBuffer(0x1_0000));
  readonly faults = new FaultLog();
  readonly ring = new PackedRing(this.memory, DESCRIPTORS, DRIVER, DEVICE);
  readonly device: PackedDeviceQueue;
  readonly chain: DescriptorChain;
  readonly size: number;
  position = FIRST_POSITION;

  constructor(size = 4, options: { readonly indirect?: boolean; readonly eventIdx?: boolean } = {}) {
    this.size = size;
    const space = PHYSICAL_ADDRESS_SPACE.open(this.memory, this.faults, undefined);
    const words = Uint32Array.of(DESCRIPTORS, 0, DRIVER, 0, DEVICE, 0);
    this.device = new PackedDeviceQueue(space, {
      addresses: { size, words },
      indirect: options.indirect ?? true,
      eventIdx: options.eventIdx ?? false,
    });
    this.chain = new DescriptorChain(size);
  }

  /** Makes one descriptor available at the next position. */
  offer({ address = BUFFER, high = 0, length = 16, id = 0, flags = 0, mark }: Descriptor = {}): this {
    const slot = slotOf(this.position);
    this.ring.writeDescriptor(slot, address, high, length, id);
    this.ring.publishFlags(slot, flags | (mark ?? availableFlags(this.position)));
    this.position = advance(this.position, 1, this.size);
    return this;
  }

  /** Writes an entry of the indirect table. */
  entry(index: number, address: number, length: number, id: number, flags: number): this {
    this.memory.u32.set([address, 0, length, id | (flags << 16)], TABLE / 4 + index * 4);
    return this;
  }

  pop(): boolean {
    return this.device.pop(this.chain);
  }
}

const { AVAIL, USED, NEXT, WRITE, INDIRECT } = {
  AVAIL: VIRTQ_DESC_F_AVAIL,
  USED: VIRTQ_DESC_F_USED,
  NEXT: VIRTQ_DESC_F_NEXT,
  WRITE: VIRTQ_DESC_F_WRITE,
  INDIRECT: VIRTQ_DESC_F_INDIRECT,
};

function expectBroken(driver: RawPackedDriver, code: string): void {
  expect(driver.pop()).toBe(false);
  expect(driver.device.broken?.code).toBe(code);
  expect(driver.pop()).toBe(false);
  expect(driver.device.flush()).toBe(false);
}

describe('PackedDeviceQueue with a hostile driver', () => {
  it('V07 takes a list of exactly the queue', () => {
    const driver = new RawPackedDriver(3);
    driver
      .offer({ flags: NEXT })
      .offer({ flags: NEXT | WRITE })
      .offer({ flags: WRITE, id: 2 });
    expect(driver.pop()).toBe(true);
    expect([driver.chain.count, driver.chain.readable, driver.chain.head]).toEqual([3, 1, 2]);
  });

  it('V08 refuses a descriptor without bytes, also in a list', () => {
    expectBroken(new RawPackedDriver().offer({ length: 0 }), 'descriptor-length-invalid');
    expectBroken(new RawPackedDriver().offer({ flags: NEXT }).offer({ length: 0 }), 'descriptor-length-invalid');
  });

  it('V09 takes a descriptor of 2^32 - 1 bytes as it is', () => {
    const driver = new RawPackedDriver().offer({ length: 0xffff_ffff, flags: WRITE });
    expect(driver.pop()).toBe(true);
    expect([driver.chain.length[0], driver.chain.writableBytes]).toEqual([0xffff_ffff, 0xffff_ffff]);
  });

  it('V10 refuses a range that wraps at 2^64, and takes one that ends there', () => {
    const at = { address: 0xffff_fff0, high: 0xffff_ffff };
    expect(new RawPackedDriver().offer({ ...at, length: 16 }).pop()).toBe(true);
    expectBroken(new RawPackedDriver().offer({ ...at, length: 17 }), 'descriptor-length-invalid');
  });

  it('V11 refuses a list of more than 2^32 bytes', () => {
    const long = new RawPackedDriver();
    long.offer({ length: 0xffff_ffff, flags: NEXT }).offer({ length: 2 });
    expectBroken(long, 'descriptor-length-invalid');
  });

  it('V13 refuses a readable descriptor behind a writable one', () => {
    expectBroken(new RawPackedDriver().offer({ flags: WRITE | NEXT }).offer(), 'descriptor-order-invalid');
  });

  it('V15 refuses a table that was not negotiated', () => {
    expectBroken(
      new RawPackedDriver(4, { indirect: false }).offer({ flags: INDIRECT, address: TABLE }),
      'indirect-table-invalid',
    );
  });

  it.each([0, 8, 24, 16 * 1025, 0xffff_fff0])('V18 V21 refuses a table of %d bytes', (length) => {
    expectBroken(new RawPackedDriver().offer({ flags: INDIRECT, address: TABLE, length }), 'indirect-table-invalid');
  });

  it('V19 breaks over a table that cannot be reached, and records the fault', () => {
    const driver = new RawPackedDriver().offer({ flags: INDIRECT, address: 0xff_fff0, length: 32 });
    expectBroken(driver, 'ring-unreachable');
    expect(driver.faults.entries).toMatchObject([{ access: 'read', cause: 'outside-memory' }]);
  });

  it('V26 is not fooled by a descriptor that is rewritten after it was popped', () => {
    const driver = new RawPackedDriver().offer({ length: 16, flags: WRITE });
    expect(driver.pop()).toBe(true);
    driver.ring.writeDescriptor(0, 0, 0, 0xffff, 3);
    expect([driver.chain.low[0], driver.chain.length[0], driver.chain.head]).toEqual([BUFFER, 16, 0]);
    driver.device.push(0, 16);
    driver.device.flush();
    expect([driver.ring.id(0), driver.ring.length(0)]).toEqual([0, 16]);
  });

  it('V28 V29 V30 refuses impossible queues', () => {
    const space = PHYSICAL_ADDRESS_SPACE.open(new GuestMemory(new ArrayBuffer(4096)), new FaultLog(), undefined);
    const open = (size: number, words: number[]): PackedDeviceQueue =>
      new PackedDeviceQueue(space, {
        addresses: { size, words: Uint32Array.from(words) },
        indirect: false,
        eventIdx: false,
      });
    for (const size of [0, -1, 32769, 1.5]) expect(() => open(size, [0, 0, 16, 0, 20, 0])).toThrow(RangeError);
    for (const words of [
      [8, 0, 16, 0, 20, 0],
      [0, 0, 18, 0, 20, 0],
      [0, 0, 16, 0, 22, 0],
    ])
      expect(() => open(4, words)).toThrow(RangeError);
  });

  it('V38 V39 R-15 refuses a list of which a part is not available', () => {
    expectBroken(new RawPackedDriver().offer({ flags: NEXT }), 'descriptor-not-available');
    expectBroken(new RawPackedDriver().offer({ flags: NEXT }).offer({ mark: 0 }), 'descriptor-not-available');
  });

  it.each([
    ['both set', AVAIL | USED],
    ['none set', 0],
    ['the wrong lap', USED],
  ])('V40 V41 does not take a descriptor with %s for available', (_, mark) => {
    const driver = new RawPackedDriver().offer({ mark });
    expect(driver.pop()).toBe(false);
    expect(driver.device.broken).toBeUndefined();
  });

  it('V42 refuses an id beyond the queue, and one that is in flight', () => {
    expectBroken(new RawPackedDriver().offer({ id: 4 }), 'descriptor-index-out-of-range');
    const twice = new RawPackedDriver().offer({ id: 1 }).offer({ id: 1 });
    expect(twice.pop()).toBe(true);
    expectBroken(twice, 'descriptor-already-in-flight');
  });

  it.each([1, 4])('V43 V48 ends a list with NEXT on every slot of a queue of %d', (size) => {
    const driver = new RawPackedDriver(size);
    for (let i = 0; i < size; i++) driver.offer({ flags: NEXT });
    expectBroken(driver, 'descriptor-chain-too-long');
  });

  it('V44 refuses INDIRECT together with NEXT, and in a list', () => {
    expectBroken(
      new RawPackedDriver().offer({ flags: INDIRECT | NEXT, address: TABLE, length: 16 }),
      'indirect-table-invalid',
    );
    expectBroken(
      new RawPackedDriver().offer({ flags: NEXT }).offer({ flags: INDIRECT, address: TABLE, length: 16 }),
      'indirect-table-invalid',
    );
  });

  it('V23 V45 V46 heeds only WRITE inside a table, and not on what refers to it', () => {
    const driver = new RawPackedDriver()
      .entry(0, BUFFER, 8, 99, NEXT | INDIRECT)
      .entry(1, BUFFER + 8, 8, 0, WRITE | AVAIL | USED);
    driver.offer({ flags: INDIRECT | WRITE, address: TABLE, length: 32, id: 3 });
    expect(driver.pop()).toBe(true);
    expect([driver.chain.count, driver.chain.readable, driver.chain.head]).toEqual([2, 1, 3]);
  });

  it('V46 does not end a table where a split ring would', () => {
    const driver = new RawPackedDriver().entry(0, BUFFER, 8, 0, 0).entry(1, BUFFER + 8, 8, 0, 0);
    driver.offer({ flags: INDIRECT, address: TABLE, length: 32 });
    expect([driver.pop(), driver.chain.count]).toEqual([true, 2]);
  });

  it('V46 reads a table in the format of a split ring by its own rules, in which next are the flags', () => {
    // Three readable entries: flags NEXT, next 1, 2 and 0. As flags, 2 says that the device may write.
    const driver = new RawPackedDriver()
      .entry(0, BUFFER, 8, NEXT, 1)
      .entry(1, BUFFER + 8, 8, NEXT, 2)
      .entry(2, BUFFER + 16, 8, 0, 0);
    driver.offer({ flags: INDIRECT, address: TABLE, length: 48 });
    expectBroken(driver, 'descriptor-order-invalid');
  });

  it.each([1, 3])('V48 goes round a queue of %d, with lists of one and of exactly the queue', (size) => {
    const driver = new RawPackedDriver(size);
    for (let lap = 0; lap < 6; lap++) {
      const slots = lap % 2 === 0 ? size : 1;
      for (let i = 0; i < slots; i++) driver.offer({ flags: i < slots - 1 ? NEXT : WRITE, length: lap + 1 });
      expect([driver.pop(), driver.chain.count, driver.chain.length[0]]).toEqual([true, slots, lap + 1]);
      expect(driver.pop()).toBe(false);
      driver.device.push(0, 1);
      driver.device.flush();
    }
    expect([driver.device.broken, driver.device.inFlight]).toEqual([undefined, 0]);
    const behind = DESCRIPTORS + size * 16;
    expect(driver.memory.u8.subarray(behind, behind + 16).every((byte) => byte === 0)).toBe(true);
  });

  it('V37 has no more slots in flight than the queue has, though a driver offers them again', () => {
    const driver = new RawPackedDriver(2).offer({ id: 0, flags: NEXT }).offer({ id: 0 });
    expect(driver.pop()).toBe(true);
    driver.offer({ id: 1 });
    expectBroken(driver, 'available-index-out-of-range');
  });

  it.each([
    ['reserved flags', 3 << 16, true],
    ['an offset beyond the queue', 0x7fff | (RING_EVENT_FLAGS_DESC << 16), false],
    ['the other lap', 0 | (RING_EVENT_FLAGS_DESC << 16), false],
    ['the slot just used', 0x8000 | (RING_EVENT_FLAGS_DESC << 16), true],
    ['never', 1 << 16, false],
  ])('V47 R-15 decides about a notification where the event structure says %s', (_, event, notifies) => {
    const driver = new RawPackedDriver(4, { eventIdx: true }).offer();
    expect(driver.pop()).toBe(true);
    Atomics.store(driver.memory.u32, DRIVER / 4, event);
    driver.device.push(0, 0);
    expect(driver.device.flush()).toBe(notifies);
    expect(isUsed(driver.ring.flags(0), FIRST_POSITION)).toBe(true);
  });

  it('says that nothing was written where nothing was, as section 2.8.4 has it', () => {
    const driver = new RawPackedDriver().offer().offer({ flags: WRITE, id: 1 });
    expect([driver.pop(), driver.pop()]).toEqual([true, true]);
    driver.device.push(0, 0);
    driver.device.push(1, 5);
    driver.device.flush();
    expect([driver.ring.flags(0) & WRITE, driver.ring.flags(1) & WRITE]).toEqual([0, WRITE]);
  });

  it('refuses to return what it does not have', () => {
    expect(() => new RawPackedDriver().device.push(0, 0)).toThrow(RangeError);
    expect(() => new RawPackedDriver().device.push(77, 0)).toThrow(RangeError);
  });
});
