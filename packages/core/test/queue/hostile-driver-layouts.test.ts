import {
  FaultLog,
  TranslatedAddressSpace,
  type AddressTranslation,
  type DeviceAccess,
} from '@virtio-platform/core/address-space';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import {
  DescriptorChain,
  openDescriptorTable,
  openDeviceQueue,
  packedNeedsNotification,
  VIRTQ_DESC_F_AVAIL,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_WRITE,
} from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import { LayoutDriver } from './layout-driver.ts';

const PLAIN = { eventIdx: false, indirect: true, byteOrder: 'little' } as const;
const WRITE = VIRTQ_DESC_F_WRITE;
const INDIRECT = VIRTQ_DESC_F_INDIRECT;

/** Every other page of device addresses is somewhere else in memory, so nothing longer than a page is contiguous. */
class ScatteredPages implements AddressTranslation {
  readonly generation = 0;
  readonly cause = 'unmapped';
  run = 0;
  readonly #pages: number;

  constructor(pages: number) {
    this.#pages = pages;
  }

  translate(low: number, _high: number, _access: DeviceAccess): number {
    const page = Math.floor(low / PAGE_SIZE);
    this.run = PAGE_SIZE - (low % PAGE_SIZE);
    if (page >= this.#pages) return -1;
    return (page % 2 === 0 ? page : this.#pages - page) * PAGE_SIZE + (low % PAGE_SIZE);
  }
}

describe.each(['split', 'packed'] as const)('the device of a %s ring against a hostile driver', (layout) => {
  it.each([
    ['null', 0, false],
    ['beyond memory', 64 * PAGE_SIZE, true],
    ['across its end', 64 * PAGE_SIZE - 8, true],
  ])('V12 leaves a buffer at an address that is %s to the address space', (_, address, isRefused) => {
    const driver = new LayoutDriver(layout).offer(0, [{ address, flags: WRITE }]);
    expect(driver.pop()).toBe(true);
    const { low, high, length } = driver.chain;
    expect(driver.space.write(low[0]!, high[0]!, new Uint8Array(16), 0, length[0]!)).toBe(!isRefused);
    expect(driver.space.faults.count).toBe(isRefused ? 1 : 0);
    expect(driver.device.broken).toBeUndefined();
  });

  // What is left of a packed ring is read by its flags, and of a split one by its index, which no fill leaves where it
  // was.
  it.each([
    [0, undefined],
    [0x0101, undefined],
    [0xffff, undefined],
    [0x0080, 'descriptor-index-out-of-range'],
    [0x0083, 'descriptor-not-available'],
    [0x0084, 'indirect-table-invalid'],
  ])('V27 survives a buffer that is the ring itself, filled with 0x%x', (fill, packedCode) => {
    const driver = new LayoutDriver(layout);
    driver.offer(0, [{ address: driver.descriptors, length: driver.bytes, flags: WRITE }]);
    expect(driver.pop()).toBe(true);
    const bytes = new Uint8Array(Uint16Array.from({ length: driver.bytes / 2 }, () => fill).buffer);
    expect(driver.space.write(driver.chain.low[0]!, 0, bytes, 0, driver.bytes)).toBe(true);
    driver.device.push(driver.chain.head, driver.bytes);
    driver.device.flush();
    expect([driver.pop(), driver.pop(), driver.device.inFlight]).toEqual([false, false, 0]);
    expect(driver.device.broken?.code).toBe(layout === 'split' ? 'available-index-out-of-range' : packedCode);
  });

  it('V28 breaks on an area outside of memory, whichever it is, and touches nothing', () => {
    for (const area of [0, 2, 4]) {
      const { memory, space, chain } = new LayoutDriver(layout);
      const before = memory.u8.slice();
      const words = Uint32Array.of(0x4000, 0, 0x6000, 0, 0x8000, 0);
      words[area + 1] = 1;
      const device = openDeviceQueue(layout, space, { ...PLAIN, addresses: { size: 8, words } });
      expect([device.pop(chain), device.broken?.code, device.pop(chain)]).toEqual([false, 'ring-unreachable', false]);
      expect(space.faults.entries).toMatchObject([{ address: (1n << 32n) + BigInt(words[area]!) }]);
      expect([device.flush(), Buffer.compare(memory.u8, before)]).toEqual([false, 0]);
    }
  });

  it('V28 takes areas at 0 and areas that overlap as they are, and does bounded work over what that makes of them', () => {
    for (const [at, bytes] of [
      [0, 0],
      [0x4000, 0],
      [0x4000, 0xff],
      [0x4000, 0x81],
    ] as const) {
      const { memory, space, chain } = new LayoutDriver(layout);
      memory.u8.fill(bytes, at, at + 256);
      const words = Uint32Array.of(at, 0, at, 0, at, 0);
      const device = openDeviceQueue(layout, space, { ...PLAIN, addresses: { size: 8, words } });
      let popped = 0;
      for (; device.pop(chain); device.push(chain.head, 1)) expect(++popped).toBeLessThanOrEqual(8);
      device.flush();
      expect([popped, device.inFlight]).toEqual([0, 0]);
      // In a packed ring both flags are set or neither is: nothing is available.
      const isBroken = layout === 'split' && bytes > 0;
      expect(device.broken?.code).toBe(isBroken ? 'available-index-out-of-range' : undefined);
    }
  });

  it('V32 is not moved by a used event that jumps about: only notifications are lost', () => {
    const driver = new LayoutDriver(layout, { eventIdx: true });
    for (let round = 0; round < 200; round++) {
      driver.poisonEvent((round * 40_503) & 0xffff);
      driver.offer(round % 8, [{ flags: WRITE }]);
      expect(driver.pop()).toBe(true);
      expect(driver.chain.head).toBe(round % 8);
      driver.device.push(driver.chain.head, 1);
      driver.device.flush();
      expect(driver.device.flush()).toBe(false);
      expect([driver.takeUsed(), driver.takeUsed()]).toEqual([[round % 8, 1], undefined]);
    }
    expect([driver.device.broken, driver.device.inFlight]).toEqual([undefined, 0]);
  });

  it('V33 goes on where it was, whatever the driver scribbles over what it returned', () => {
    const driver = new LayoutDriver(layout);
    for (let round = 0; round < 20; round++) {
      driver.offer(round % 8, [{ flags: WRITE }]);
      expect(driver.pop()).toBe(true);
      driver.device.push(driver.chain.head, 5);
      driver.device.flush();
      const returned =
        layout === 'split' ? driver.deviceArea + 4 + (round % 8) * 8 : driver.descriptors + (round % 8) * 16 + 8;
      const { u16, u32, u8 } = driver.memory;
      const [id, length] =
        layout === 'split' ? [u32[returned / 4], u32[returned / 4 + 1]] : [u16[returned / 2 + 2], u32[returned / 4]];
      expect([id, length]).toEqual([round % 8, 5]);
      u8.fill(0xff, returned, returned + 8);
      u8.fill(0xff, driver.deviceArea, driver.deviceArea + 4);
    }
    expect(driver.device.broken).toBeUndefined();
  });

  it('V36 does not rely on the order that IN_ORDER promises: it follows each chain, and returns what it popped', () => {
    const driver = new LayoutDriver(layout, { inOrder: true });
    driver.offer(6, [{ length: 1 }, { length: 2, flags: WRITE }], [6, 3]);
    driver.offer(1, [{ length: 3 }, { length: 4, flags: WRITE }], [1, 0]);
    const heads = [0, 1].map(() => {
      expect(driver.pop()).toBe(true);
      return [driver.chain.head, ...driver.chain.length.subarray(0, driver.chain.count)];
    });
    expect(heads).toEqual([
      [6, 1, 2],
      [1, 3, 4],
    ]);
    driver.device.push(6, 2);
    driver.device.push(1, 4);
    driver.device.flush();
    expect([driver.device.inFlight, driver.device.broken]).toEqual([0, undefined]);
  });

  it('V49 reads a table out of another queue as bytes, and takes nothing from that queue', () => {
    const other = new LayoutDriver(layout);
    other.offer(0, [{ length: 11 }]).offer(1, [{ length: 12, flags: WRITE }]);
    const { memory, space } = other;
    const driver = new LayoutDriver(layout, { memory, space });
    driver.offer(0, [{ address: other.descriptors, length: layout === 'split' ? 16 : 32, flags: INDIRECT }]);
    const before = memory.u8.slice(other.descriptors, other.descriptors + other.bytes);
    expect(driver.pop()).toBe(true);
    expect(driver.chain.length[0]).toBe(11);
    driver.device.push(driver.chain.head, 0);
    driver.device.flush();
    expect(memory.u8.slice(other.descriptors, other.descriptors + other.bytes)).toEqual(before);
    expect([other.pop(), other.chain.length[0], other.pop(), other.chain.length[0]]).toEqual([true, 11, true, 12]);
  });

  it('V52 starts anew in memory that the other layout left behind', () => {
    const first = new LayoutDriver(layout === 'split' ? 'packed' : 'split', { size: 4 });
    for (let i = 0; i < 4; i++) first.offer(i, [{ flags: WRITE }]);
    const { memory, space, descriptors } = first;
    memory.u8.fill(0xff, descriptors, descriptors + PAGE_SIZE);
    memory.free(descriptors);
    const second = new LayoutDriver(layout, { size: 4, memory, space });
    expect(second.descriptors).toBe(descriptors);
    expect(second.pop()).toBe(false);
    for (let lap = 0; lap < 3; lap++) {
      second.offer(2, [{ length: 7 }]);
      expect([second.pop(), second.chain.head, second.chain.length[0]]).toEqual([true, 2, 7]);
      second.device.push(2, 0);
      second.device.flush();
    }
    expect([second.pop(), second.device.broken]).toEqual([false, undefined]);
  });

  it('V52 finds nothing available in a ring that is full of the other layout', () => {
    const first = new LayoutDriver(layout === 'split' ? 'packed' : 'split');
    for (let i = 0; i < 8; i++) first.offer(i, [{ flags: WRITE }]);
    const words = Uint32Array.of(first.descriptors, 0, first.driverArea & ~3, 0, first.deviceArea & ~3, 0);
    const device = openDeviceQueue(layout, first.space, { ...PLAIN, addresses: { size: 8, words } });
    expect([device.pop(first.chain), device.flush(), device.inFlight]).toEqual([false, false, 0]);
    expect(device.broken).toBeUndefined();
  });

  it('V21 R-06 bounds a table by its own length, not by the queue or by what came before it', () => {
    const driver = new LayoutDriver(layout);
    for (let i = 0; i < 8; i++) driver.entry(i, { length: i + 1, flags: VIRTQ_DESC_F_NEXT }, i + 1);
    driver.offer(0, [{ address: driver.table, length: 32, flags: INDIRECT }]);
    if (layout === 'packed') {
      expect(driver.pop()).toBe(true);
      expect([driver.chain.count, driver.chain.readableBytes]).toEqual([2, 3]);
      return;
    }
    expect(driver.pop()).toBe(false);
    expect(driver.device.broken?.code).toBe('descriptor-index-out-of-range');
  });

  it.each([179, 321, 1024])('I11 V21 takes a table of %d descriptors in a queue of 128, and counts it', (entries) => {
    const driver = new LayoutDriver(layout, { size: 128 });
    const address = driver.memory.allocate(4 * PAGE_SIZE);
    const table = openDescriptorTable('little', driver.memory, address);
    for (let i = 0; i < entries; i++) {
      const flags = i < entries - 1 && layout === 'split' ? VIRTQ_DESC_F_NEXT : 0;
      table.write(i, driver.buffer, 0, 8, flags, layout === 'split' ? i + 1 : 0);
    }
    driver.offer(0, [{ address, length: entries * 16, flags: INDIRECT }]);
    expect(driver.pop()).toBe(true);
    expect([driver.chain.count, driver.chain.readableBytes]).toEqual([entries, 8 * entries]);
    expect([driver.device.longTables, driver.device.inFlight]).toEqual([1, 1]);
    // A list in the ring itself stays as short as the queue, and so does a chain for a caller without room.
    driver.offer(1, [{ address, length: entries * 16, flags: INDIRECT }]);
    expect(driver.device.pop(new DescriptorChain(128))).toBe(false);
    expect(driver.device.broken?.code).toBe('descriptor-chain-too-long');
  });

  it('I11 V21 takes as long a table as its device type allows', () => {
    const { space, descriptors, driverArea, deviceArea } = new LayoutDriver(layout);
    const words = Uint32Array.of(descriptors, 0, driverArea, 0, deviceArea, 0);
    const addresses = { size: 8, words };
    const device = openDeviceQueue(layout, space, { ...PLAIN, indirect: true, addresses, tableEntries: 2000 });
    expect(device.longestChain).toBe(2000);
    expect(openDeviceQueue(layout, space, { ...PLAIN, indirect: false, addresses }).longestChain).toBe(8);
  });

  it('V19 R-07 copies a table across pages that lie apart, and stops at the first that is missing', () => {
    const memory = new GuestMemory(new SharedArrayBuffer(64 * PAGE_SIZE));
    const space = new TranslatedAddressSpace(memory, new FaultLog(), new ScatteredPages(64));
    // Rings and buffers first, on pages that are where they seem to be.
    const driver = new LayoutDriver(layout, { memory, space });
    const at = (device: number): number => space.borrow(device, 0, 4, 'write');
    const words = Uint32Array.of(0x4000, 0, 0x6000, 0, 0x8000, 0);
    const device = openDeviceQueue(layout, space, { ...PLAIN, addresses: { size: 8, words } });
    expect([at(0x4000), at(0x6000), at(0x8000)]).toEqual([0x4000, 0x6000, 0x8000]);
    const put = (address: number, fields: readonly number[]): void => {
      for (const [i, field] of fields.entries()) memory.u32[at(address + i * 4) / 4] = field;
    };
    const offer = (table: number): void => {
      if (layout === 'split') put(0x4000, [table, 0, 48, INDIRECT]);
      else put(0x4000, [table, 0, 48, (INDIRECT | VIRTQ_DESC_F_AVAIL) << 16]);
      if (layout === 'split') put(0x6000, [1 << 16, 0]);
    };
    const table = 0xa000 + PAGE_SIZE - 24;
    for (let i = 0; i < 3; i++) {
      const chained = VIRTQ_DESC_F_NEXT | ((i + 1) << 16);
      put(table + i * 16, [0x1000 * (i + 1), 0, i + 1, layout === 'split' && i < 2 ? chained : 0]);
    }
    offer(table);
    expect(device.pop(driver.chain), device.broken?.detail).toBe(true);
    expect([...driver.chain.length.subarray(0, 3)]).toEqual([1, 2, 3]);
    expect([...driver.chain.low.subarray(0, 3)]).toEqual([0x1000, 0x2000, 0x3000]);
    const gone = openDeviceQueue(layout, space, { ...PLAIN, addresses: { size: 8, words } });
    offer(63 * PAGE_SIZE + PAGE_SIZE - 24);
    expect(gone.pop(driver.chain)).toBe(false);
    expect([gone.broken?.code, space.faults.entries[0]?.address]).toEqual(['ring-unreachable', BigInt(64 * PAGE_SIZE)]);
  });

  it('V31 does no work for a kick over an empty ring, however many come', () => {
    const driver = new LayoutDriver(layout);
    const before = driver.memory.u8.slice();
    for (let i = 0; i < 1000; i++) expect([driver.pop(), driver.device.flush()]).toEqual([false, false]);
    expect(Buffer.compare(driver.memory.u8, before)).toBe(0);
    expect(driver.device.broken).toBeUndefined();
  });
});

describe('the device of a packed ring against a hostile driver', () => {
  it('V16 takes a table that refers to itself for a buffer like any other', () => {
    const driver = new LayoutDriver('packed');
    driver.entry(0, { address: driver.table, flags: INDIRECT }).offer(0, [{ address: driver.table, flags: INDIRECT }]);
    expect(driver.pop()).toBe(true);
    expect([driver.chain.count, driver.chain.low[0]]).toEqual([1, driver.table]);
  });

  it('V38 V42 R-15 takes the id of a list from its last descriptor alone', () => {
    const driver = new LayoutDriver('packed');
    driver.offer(5, [{}, {}, { flags: WRITE }]);
    for (const slot of [0, 1]) driver.memory.u16[driver.descriptors / 2 + slot * 8 + 6] = 0xffff;
    expect([driver.pop(), driver.chain.head, driver.chain.count]).toEqual([true, 5, 3]);
  });
});

/**
 * Section 2.8.10 word by word: one of the slots that were passed is the one that was asked for, on the lap that was
 * meant.
 */
function passesEvent(event: number, position: number, moved: number, size: number): boolean {
  let place = position;
  for (let i = 0; i < moved; i++) {
    const slot = place & 0x7fff;
    place = slot > 0 ? place - 1 : (place ^ 0x8000) | (size - 1);
    if (place === event) return true;
  }
  return false;
}

describe('packedNeedsNotification', () => {
  it.each([1, 2, 3, 7, 32768])(
    'D24 D25 D36 V34 R-15 asks exactly when the event was passed, across the wrap, in a queue of %d',
    (size) => {
      const slots = size > 8 ? [0, 1, size - 1] : Array.from({ length: size }, (_, i) => i);
      const places = slots.flatMap((slot) => [slot, slot | 0x8000]);
      const moves = size > 8 ? [0, 1, 2, size - 1, size] : Array.from({ length: size + 1 }, (_, i) => i);
      for (const position of places) {
        for (const moved of moves) {
          for (const event of places) {
            const told = packedNeedsNotification(event | (2 << 16), position, moved, size, true);
            expect(told, `${event} ${position} ${moved}`).toBe(passesEvent(event, position, moved, size));
          }
        }
      }
    },
  );
});
