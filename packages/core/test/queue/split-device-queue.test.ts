import {
  DescriptorChain,
  LONGEST_TABLE,
  SplitDeviceQueue,
  type BrokenCode,
  VIRTQ_AVAIL_F_NO_INTERRUPT,
  VIRTQ_DESC_F_INDIRECT as INDIRECT,
  VIRTQ_DESC_F_NEXT as NEXT,
  VIRTQ_DESC_F_WRITE as WRITE,
} from '@virtio-platform/core/queue';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RawDriver } from './raw-driver.ts';

/** Pops once and expects the queue to break with that reason, for good, after no more work than the queue is long. */
function expectBroken(driver: RawDriver, code: BrokenCode): void {
  const chain = new DescriptorChain(driver.size);
  expect(driver.device.pop(chain)).toBe(false);
  expect(driver.device.broken?.code).toBe(code);
  expect(chain.count).toBeLessThanOrEqual(driver.size);
  const reason = driver.device.broken;
  driver.describe(0, 0);
  driver.publish(0);
  expect(driver.device.pop(chain)).toBe(false);
  expect(driver.device.flush()).toBe(false);
  expect(driver.device.broken).toBe(reason);
}

/** Pops once and gives what the chain holds. */
function pop(driver: RawDriver): { head: number; count: number; readable: number; lengths: number[] } {
  const chain = new DescriptorChain(driver.size);
  expect(driver.device.pop(chain), driver.device.broken?.detail).toBe(true);
  const { head, count, readable } = chain;
  return { head, count, readable, lengths: [...chain.length.subarray(0, count)] };
}

describe('SplitDeviceQueue', () => {
  it.each(['little', 'big'] as const)('copies a chain out of a %s-endian ring', (byteOrder) => {
    const driver = new RawDriver({ byteOrder });
    driver.describe(5, NEXT, 1, 16);
    driver.describe(1, NEXT | WRITE, 6, 512);
    driver.describe(6, WRITE, 0, 1);
    driver.publish(5);
    const chain = new DescriptorChain(8);
    expect(driver.device.pop(chain)).toBe(true);
    expect([chain.head, chain.count, chain.readable, chain.readableBytes, chain.writableBytes]).toEqual([
      5, 3, 1, 16, 513,
    ]);
    expect([...chain.low.subarray(0, 3)]).toEqual([driver.buffer, driver.buffer, driver.buffer]);
    expect(driver.device.pop(chain)).toBe(false);
    expect(driver.device.broken).toBeUndefined();
  });

  it.each(['little', 'big'] as const)('shows used buffers in a %s-endian ring only with flush', (byteOrder) => {
    const driver = new RawDriver({ byteOrder });
    driver.describe(3, WRITE, 0, 100);
    driver.publish(3);
    pop(driver);
    driver.device.push(3, 77);
    expect(driver.ring.usedIdx()).toBe(0);
    expect(driver.device.flush()).toBe(true);
    expect([driver.ring.usedIdx(), driver.ring.usedId(0), driver.ring.usedLength(0)]).toEqual([1, 3, 77]);
    expect(driver.device.flush()).toBe(false);
  });

  it('throws RangeError when its owner pushes what is not in flight', () => {
    const driver = new RawDriver();
    for (const head of [0, 8, -1, Number.NaN]) expect(() => driver.device.push(head, 0)).toThrow(RangeError);
  });

  it('S-18 asks for a notification by flags without EVENT_IDX, and by used_event with it', () => {
    const byFlags = new RawDriver();
    byFlags.describe(0, WRITE);
    byFlags.ring.writeUsedEvent(99);
    byFlags.ring.writeAvailFlags(VIRTQ_AVAIL_F_NO_INTERRUPT);
    byFlags.publish(0);
    byFlags.device.push(pop(byFlags).head, 0);
    expect(byFlags.device.flush()).toBe(false);

    const byEvent = new RawDriver({ eventIdx: true });
    byEvent.ring.writeAvailFlags(VIRTQ_AVAIL_F_NO_INTERRUPT);
    byEvent.ring.writeUsedEvent(2);
    for (const expected of [false, false, true, false]) {
      byEvent.describe(0, WRITE);
      byEvent.publish(0);
      byEvent.device.push(pop(byEvent).head, 0);
      expect(byEvent.device.flush()).toBe(expected);
    }
  });

  it('S-27 looks again after it enabled notifications', () => {
    for (const eventIdx of [false, true]) {
      const driver = new RawDriver({ eventIdx });
      driver.device.disableNotifications();
      expect(driver.device.enableNotifications()).toBe(true);
      driver.describe(0, WRITE);
      driver.publish(0);
      expect(driver.device.enableNotifications()).toBe(false);
      pop(driver);
      expect(driver.device.enableNotifications()).toBe(true);
      expect(driver.ring.usedFlags()).toBe(0);
      if (eventIdx) expect(driver.ring.availEvent()).toBe(1);
    }
  });

  it.each([
    [3, 0],
    [0, 0],
    [65536, 0],
    [8, 8],
    [8, 2],
    [8, 4],
  ])('V28 V29 refuses a queue of %d entries whose areas are off by %d', (size, off) => {
    const { space } = new RawDriver();
    const words = Uint32Array.of(
      0x1000 + (off === 8 ? 8 : 0),
      0,
      0x2000 + (off === 2 ? 1 : 0),
      0,
      0x3000 + (off === 4 ? 2 : 0),
      0,
    );
    expect(
      () =>
        new SplitDeviceQueue(space, {
          addresses: { size, words },
          eventIdx: false,
          indirect: false,
          byteOrder: 'little',
        }),
    ).toThrow(RangeError);
  });

  it('V28 breaks on a ring outside of memory', () => {
    const { space } = new RawDriver();
    const addresses = { size: 8, words: Uint32Array.of(0x1000, 0, 0x2000, 0, 0, 1) };
    const device = new SplitDeviceQueue(space, { addresses, eventIdx: false, indirect: false, byteOrder: 'little' });
    expect(device.pop(new DescriptorChain(8))).toBe(false);
    expect(device.broken?.code).toBe('ring-unreachable');
    expect(space.faults.entries).toEqual([
      { address: 1n << 32n, length: 70, access: 'write', cause: 'outside-memory' },
    ]);
  });
});

describe('SplitDeviceQueue against a hostile driver', () => {
  it('V01 breaks when avail.idx jumps further than the queue is long', () => {
    const driver = new RawDriver();
    driver.ring.publishAvailIdx(9);
    expectBroken(driver, 'available-index-out-of-range');
  });

  it('V02 breaks when avail.idx goes backwards', () => {
    const driver = new RawDriver();
    driver.describe(0, WRITE);
    driver.publish(0);
    pop(driver);
    driver.ring.publishAvailIdx(0);
    expectBroken(driver, 'available-index-out-of-range');
  });

  it.each([8, 9, 0xffff])('V03 breaks on available entry %d', (head) => {
    const driver = new RawDriver();
    driver.publish(head);
    expectBroken(driver, 'descriptor-index-out-of-range');
  });

  it.each([8, 0xffff])('V04 breaks on next %d', (next) => {
    const driver = new RawDriver();
    driver.describe(0, NEXT, next);
    driver.publish(0);
    expectBroken(driver, 'descriptor-index-out-of-range');
  });

  it.each([1, 2, 8])('V05 breaks on a chain that loops over %d descriptors', (cycle) => {
    const driver = new RawDriver();
    for (let i = 0; i < cycle; i++) driver.describe(i, NEXT, (i + 1) % cycle);
    driver.publish(0);
    expectBroken(driver, 'descriptor-chain-too-long');
  });

  it('V06 breaks on a chain of one more than the queue has, through a table', () => {
    const driver = new RawDriver();
    driver.describe(0, NEXT, 1);
    driver.descriptors.write(1, driver.tableAddress, 0, 8 * 16, INDIRECT, 0);
    for (let i = 0; i < 8; i++) driver.describeInTable(i, i < 7 ? NEXT : 0, i + 1);
    driver.publish(0);
    expectBroken(driver, 'descriptor-chain-too-long');
  });

  it('V07 takes a chain of exactly as many as the queue has', () => {
    const driver = new RawDriver();
    for (let i = 0; i < 8; i++) driver.describe(i, i < 7 ? NEXT : 0, i + 1);
    driver.publish(0);
    expect(pop(driver).count).toBe(8);
  });

  it('V08 breaks on a descriptor without bytes', () => {
    const driver = new RawDriver();
    driver.describe(0, 0, 0, 0);
    driver.publish(0);
    expectBroken(driver, 'descriptor-length-invalid');
  });

  it('V09 takes a descriptor of 2^32 - 1 bytes as it is, and memory refuses it', () => {
    const driver = new RawDriver();
    driver.describe(0, WRITE, 0, 0xffff_ffff);
    driver.publish(0);
    expect(pop(driver).lengths).toEqual([0xffff_ffff]);
    expect(driver.space.borrow(driver.buffer, 0, 0xffff_ffff, 'write')).toBe(-1);
    expect(driver.space.faults.entries[0]).toMatchObject({
      address: BigInt(driver.memory.size),
      cause: 'outside-memory',
    });
  });

  it('V10 breaks on a range that wraps at 2^64, and takes one that ends there', () => {
    const driver = new RawDriver();
    driver.descriptors.write(0, 0xffff_fff0, 0xffff_ffff, 16, 0, 0);
    driver.publish(0);
    expect(pop(driver).count).toBe(1);
    driver.descriptors.write(1, 0xffff_fff0, 0xffff_ffff, 17, 0, 0);
    driver.publish(1);
    expectBroken(driver, 'descriptor-length-invalid');
  });

  it('V11 breaks on a chain of more than 2^32 bytes', () => {
    const driver = new RawDriver();
    driver.describe(0, NEXT, 1, 0xffff_ffff);
    driver.describe(1, WRITE, 0, 2);
    driver.publish(0);
    expectBroken(driver, 'descriptor-length-invalid');
  });

  it('V12 leaves the address of a buffer to the address space', () => {
    const driver = new RawDriver();
    driver.descriptors.write(0, 0, 0x0800_0000, 16, WRITE, 0);
    driver.publish(0);
    expect(pop(driver).count).toBe(1);
  });

  it('V13 breaks on a readable descriptor behind a writable one', () => {
    const driver = new RawDriver();
    driver.describe(0, WRITE | NEXT, 1);
    driver.describe(1, 0);
    driver.publish(0);
    expectBroken(driver, 'descriptor-order-invalid');
  });

  it('V15 breaks on INDIRECT that was not negotiated', () => {
    const driver = new RawDriver({ indirect: false });
    driver.descriptors.write(0, driver.tableAddress, 0, 16, INDIRECT, 0);
    driver.publish(0);
    expectBroken(driver, 'indirect-table-invalid');
  });

  it('V16 breaks on a table in a table, also one that refers to itself', () => {
    const driver = new RawDriver();
    driver.descriptors.write(0, driver.tableAddress, 0, 16, INDIRECT, 0);
    driver.table.write(0, driver.tableAddress, 0, 16, INDIRECT, 0);
    driver.publish(0);
    expectBroken(driver, 'indirect-table-invalid');
  });

  it('V17 breaks on INDIRECT together with NEXT', () => {
    const driver = new RawDriver();
    driver.descriptors.write(0, driver.tableAddress, 0, 16, INDIRECT | NEXT, 1);
    driver.publish(0);
    expectBroken(driver, 'indirect-table-invalid');
  });

  it.each([0, 8, 17, 31, 0xffff_fff0])('V18 breaks on a table of %d bytes', (bytes) => {
    const driver = new RawDriver();
    driver.descriptors.write(0, driver.tableAddress, 0, bytes, INDIRECT, 0);
    driver.publish(0);
    expectBroken(driver, 'indirect-table-invalid');
  });

  it('V19 breaks on a table that is not, or only partly, in memory', () => {
    for (const at of [(memory: number) => memory, (memory: number) => memory - 16]) {
      const driver = new RawDriver();
      driver.descriptors.write(0, at(driver.memory.size), 0, 32, INDIRECT, 0);
      driver.publish(0);
      expectBroken(driver, 'ring-unreachable');
      expect(driver.space.faults.entries[0]).toMatchObject({ address: BigInt(driver.memory.size), access: 'read' });
    }
  });

  it('V20 breaks on a table whose next leaves it or loops, and takes one out of sequence', () => {
    for (const [next, code] of [
      [3, 'descriptor-index-out-of-range'],
      [0, 'descriptor-chain-too-long'],
    ] as const) {
      const driver = new RawDriver();
      driver.descriptors.write(0, driver.tableAddress, 0, 48, INDIRECT, 0);
      driver.describeInTable(0, NEXT, next);
      driver.publish(0);
      expectBroken(driver, code);
      expect(driver.device.broken?.detail).toContain(next === 0 ? 'an indirect table of 3' : 'a table of 3');
    }
    const driver = new RawDriver();
    driver.descriptors.write(0, driver.tableAddress, 0, 48, INDIRECT, 0);
    driver.describeInTable(0, NEXT, 2, 1);
    driver.describeInTable(2, NEXT, 1, 2);
    driver.describeInTable(1, WRITE, 0, 3);
    driver.publish(0);
    expect(pop(driver).lengths).toEqual([1, 2, 3]);
  });

  it('V21 breaks on a table longer than it takes', () => {
    const driver = new RawDriver();
    driver.descriptors.write(0, driver.tableAddress, 0, (LONGEST_TABLE + 1) * 16, INDIRECT, 0);
    driver.describeInTable(0, 0);
    driver.publish(0);
    expectBroken(driver, 'indirect-table-invalid');
  });

  it('V22 takes direct descriptors and then one table', () => {
    const driver = new RawDriver();
    driver.describe(0, NEXT, 1, 5);
    driver.descriptors.write(1, driver.tableAddress, 0, 32, INDIRECT, 0);
    driver.describeInTable(0, NEXT, 1, 6);
    driver.describeInTable(1, WRITE, 0, 7);
    driver.publish(0);
    expect(pop(driver)).toMatchObject({ readable: 2, lengths: [5, 6, 7] });
  });

  it('V22 breaks on a second table behind the first', () => {
    const driver = new RawDriver();
    driver.descriptors.write(0, driver.tableAddress, 0, 16, INDIRECT | NEXT, 1);
    driver.descriptors.write(1, driver.tableAddress + 16, 0, 16, INDIRECT, 0);
    for (const entry of [0, 1]) driver.describeInTable(entry, 0);
    driver.publish(0);
    expectBroken(driver, 'indirect-table-invalid');
  });

  it('V23 ignores WRITE on the descriptor that refers to a table', () => {
    const driver = new RawDriver();
    driver.descriptors.write(0, driver.tableAddress, 0, 16, INDIRECT | WRITE, 0);
    driver.describeInTable(0, 0);
    driver.publish(0);
    expect(pop(driver)).toMatchObject({ count: 1, readable: 1 });
  });

  it('V24 breaks when a head in flight is made available again', () => {
    const driver = new RawDriver();
    driver.describe(2, WRITE);
    driver.publish(2);
    pop(driver);
    driver.publish(2);
    expectBroken(driver, 'descriptor-already-in-flight');
  });

  it('V25 breaks when every available entry is the same head', () => {
    const driver = new RawDriver();
    driver.describe(0, WRITE);
    driver.publish(0, 0, 0, 0, 0, 0, 0, 0);
    pop(driver);
    expectBroken(driver, 'descriptor-already-in-flight');
  });

  it('V26 keeps a chain as it was popped, whatever is written to the ring then', () => {
    const driver = new RawDriver();
    driver.descriptors.write(0, driver.tableAddress, 0, 32, INDIRECT, 0);
    driver.describeInTable(0, NEXT, 1, 6);
    driver.describeInTable(1, WRITE, 0, 7);
    driver.publish(0);
    const chain = new DescriptorChain(8);
    driver.device.pop(chain);
    driver.memory.u8.fill(0xff, driver.tableAddress, driver.tableAddress + 32);
    driver.descriptors.write(0, 0, 0, 0, 0xffff, 0xffff);
    expect([...chain.length.subarray(0, chain.count)]).toEqual([6, 7]);
  });

  it('V33 does not read its used ring back', () => {
    const driver = new RawDriver();
    for (let i = 0; i < 3; i++) {
      driver.describe(0, WRITE);
      driver.publish(0);
      pop(driver);
      driver.ring.publishUsedIdx(0x7777);
      driver.ring.writeUsedElement(i, 99, 99);
      driver.device.push(0, 4);
      driver.device.flush();
      expect([driver.ring.usedIdx(), driver.ring.usedId(i), driver.ring.usedLength(i)]).toEqual([i + 1, 0, 4]);
    }
  });

  it('V37 has no more in flight than the queue has entries, though nothing is ever taken back', () => {
    const driver = new RawDriver();
    for (let head = 0; head < 8; head++) driver.describe(head, WRITE);
    driver.publish(0, 1, 2, 3, 4, 5, 6, 7);
    for (let head = 0; head < 8; head++) pop(driver);
    expect(driver.device.inFlight).toBe(8);
    driver.publish(0);
    expectBroken(driver, 'available-index-out-of-range');
    expect(driver.device.inFlight).toBe(8);
  });

  it('never throws, hangs, leaves memory or exceeds the queue, whatever bytes are in the ring', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 8 * 16 + 22, maxLength: 8 * 16 + 22 }),
        fc.boolean(),
        fc.nat(8),
        (bytes, eventIdx, idx) => {
          const driver = new RawDriver({ eventIdx });
          driver.memory.u8.set(bytes, 4096);
          for (let i = 0; i < 8; i++) {
            const flags = bytes[i * 16 + 12]! & 7;
            driver.descriptors.write(
              i,
              driver.tableAddress + (bytes[i]! & 0xf0),
              0,
              bytes[i * 16 + 1]! & 0x7f,
              flags,
              bytes[i * 16 + 2]! % 10,
            );
            driver.table.write(i, bytes[i]!, 0, bytes[i * 16 + 3]!, bytes[i * 16 + 4]! & 7, bytes[i * 16 + 5]! % 10);
            driver.ring.writeAvailEntry(i, bytes[i * 16 + 6]! % 9);
          }
          driver.ring.publishAvailIdx(idx);
          const chain = new DescriptorChain(8);
          let popped = 0;
          while (driver.device.pop(chain)) {
            popped++;
            expect(chain.count).toBeGreaterThan(0);
            expect(chain.count).toBeLessThanOrEqual(8);
            expect(chain.readable).toBeLessThanOrEqual(chain.count);
          }
          expect(popped).toBeLessThanOrEqual(8);
          expect(driver.device.inFlight).toBe(popped);
          if (driver.device.broken === undefined) expect(popped).toBe(idx);
        },
      ),
      { numRuns: 500 },
    );
  });
});
