import { DMA_NO_SPACE, DMA_TOO_LARGE, DMA_UNREACHABLE, DmaDirection } from '@virtio-platform/core/dma';
import { describe, expect, it } from 'vitest';
import {
  H_HARDWARE,
  H_NOT_ENOUGH_RESOURCES,
  H_SUCCESS,
  TceDmaMapping,
  TceWindow,
  type DmaWindow,
} from '../src/index.ts';
import { openTceMapping, PAGE } from './open-tce-mapping.ts';
import { RefusingTceTables } from './refusing-tce-tables.ts';

const DDW_HIGH = 0x0800_0000;

/** Entries of the default window that give any permission. */
function permittedPages({ tables }: Pick<ReturnType<typeof openTceMapping>, 'tables'>): number[] {
  const words = new Uint32Array(2);
  const pages: number[] = [];
  for (let page = 0; page < tables.defaultWindow.size / PAGE; page++) {
    expect(tables.getTce(tables.defaultWindow.liobn, page * PAGE, 0, words)).toBe(H_SUCCESS);
    if ((words[0]! & 3) !== 0) pages.push(page);
  }
  return pages;
}

describe('TceDmaMapping.map', () => {
  it('keeps the offset in the page, and starts at bus address 0, which is valid', () => {
    const { mapping, words, space } = openTceMapping();
    const id = mapping.map(0x5123, 0x100, DmaDirection.ToDevice, words, 0);
    expect(id).toBeGreaterThanOrEqual(0);
    expect([...words]).toEqual([0x123, 0]);
    expect(space.borrow(0x123, 0, 0x100, 'read')).toBe(0x5123);
  });

  it.each([
    ['ToDevice', DmaDirection.ToDevice, true, false],
    ['FromDevice', DmaDirection.FromDevice, false, true],
    ['Bidirectional', DmaDirection.Bidirectional, true, true],
  ])('gives a %s buffer exactly its permissions', (_name, direction, reads, writes) => {
    const { memory, mapping, words, space } = openTceMapping();
    mapping.map(0x5000, 64, direction, words, 0);
    expect(space.read(words[0]!, words[1]!, new Uint8Array(64), 0, 64)).toBe(reads);
    expect(space.write(words[0]!, words[1]!, new Uint8Array(64).fill(1), 0, 64)).toBe(writes);
    expect(memory.u8.filter((byte) => byte === 1).length).toBe(writes ? 64 : 0);
  });

  it('maps a buffer over several pages to consecutive bus pages, and nothing behind them', () => {
    const bench = openTceMapping();
    const { mapping, words, space, faults } = bench;
    mapping.map(0x5ff0, 0x1020, DmaDirection.FromDevice, words, 0);
    expect(words[0]).toBe(0xff0);
    expect(permittedPages(bench)).toEqual([0, 1, 2]);
    expect(space.borrow(words[0]!, words[1]!, 0x1020, 'write')).toBe(0x5ff0);
    expect(space.borrow(0x3000, 0, 1, 'write')).toBe(-1);
    expect(faults.entries[0]?.cause).toBe('unmapped');
  });

  it('writes the high word of the 64-bit window', () => {
    const { mapping, words, space } = openTceMapping({ ddw: true });
    mapping.map(0x1_2345, 16, DmaDirection.ToDevice, words, 0);
    mapping.map(0x1_2345, 16, DmaDirection.ToDevice, words, 0);
    expect([...words]).toEqual([0x1_2345, DDW_HIGH]);
    expect(space.borrow(0x1_2345, DDW_HIGH, 16, 'read')).toBe(0x1_2345);
    expect(mapping.limits.addressBits).toBe(64);
  });

  it('writes lists of more than 512 entries', () => {
    const { mapping, words, space } = openTceMapping({ pages: 1024 });
    const length = 700 * PAGE;
    expect(mapping.map(0x1000, length, DmaDirection.ToDevice, words, 0)).toBeGreaterThanOrEqual(0);
    expect(space.borrow(words[0]!, words[1]!, length, 'read')).toBe(0x1000);
  });

  it('finds no space in a full window, changes nothing then, and recovers', () => {
    const bench = openTceMapping({ pages: 4 });
    const { mapping, words } = bench;
    const ids = [0, 1, 2].map((page) => mapping.map(page * PAGE, PAGE, DmaDirection.ToDevice, words, 0));
    words.fill(7);
    expect(mapping.map(0x1800, PAGE, DmaDirection.ToDevice, words, 0)).toBe(DMA_NO_SPACE);
    expect([...words]).toEqual([7, 7]);
    expect(mapping.statistics).toMatchObject({ maps: 3, live: 3 });
    mapping.unmap(ids[2]!, 0);
    expect(mapping.map(0x1800, PAGE, DmaDirection.ToDevice, words, 0)).toBeGreaterThanOrEqual(0);
    expect(permittedPages(bench)).toEqual([0, 1, 2, 3]);
  });

  it('shares the bus pages of a window with the mappings of other queues', () => {
    const { memory, window, mapping, words } = openTceMapping({ pages: 4 });
    const other = new TceDmaMapping(memory, window, 8);
    mapping.map(0, 2 * PAGE, DmaDirection.ToDevice, words, 0);
    other.map(0, 2 * PAGE, DmaDirection.ToDevice, words, 0);
    expect([...words]).toEqual([2 * PAGE, 0]);
    expect(mapping.map(0, 1, DmaDirection.ToDevice, words, 0)).toBe(DMA_NO_SPACE);
  });

  it('finds no space beyond its capacity, and takes no bus page for it', () => {
    const { mapping, words, window } = openTceMapping({ capacity: 1 });
    mapping.map(0, 1, DmaDirection.ToDevice, words, 0);
    expect(mapping.map(0, 1, DmaDirection.ToDevice, words, 0)).toBe(DMA_NO_SPACE);
    expect(window.takenPages).toBe(1);
  });

  it('refuses a buffer that is too large for the window or outside memory', () => {
    const { memory, mapping, words } = openTceMapping({ pages: 4 });
    const { maxMappingSize, addressBits } = mapping.limits;
    expect(addressBits).toBe(32);
    expect(mapping.map(0x1fff, maxMappingSize, DmaDirection.ToDevice, words, 0)).toBeGreaterThanOrEqual(0);
    expect(mapping.map(0, maxMappingSize + 1, DmaDirection.ToDevice, words, 0)).toBe(DMA_TOO_LARGE);
    expect(mapping.map(memory.size - 1, 2, DmaDirection.ToDevice, words, 0)).toBe(DMA_UNREACHABLE);
    expect(mapping.map(-1, 1, DmaDirection.ToDevice, words, 0)).toBe(DMA_UNREACHABLE);
  });

  it.each([
    [1, 0],
    [3, 0],
    [900, 0],
    [900, 1],
  ])('undoes a failed mapping of %i pages after %i lists, and works again after it', (pages, putsLeft) => {
    const bench = openTceMapping({ pages: 1024 });
    const { tables, mapping, words, window } = bench;
    for (const [status, reason] of [
      [H_NOT_ENOUGH_RESOURCES, DMA_NO_SPACE],
      [H_HARDWARE, DMA_UNREACHABLE],
    ] as const) {
      tables.putStatus = status;
      tables.putsLeft = putsLeft;
      words.fill(7);
      expect(mapping.map(0x1000, pages * PAGE, DmaDirection.Bidirectional, words, 0)).toBe(reason);
      expect([...words]).toEqual([7, 7]);
      expect(permittedPages(bench)).toEqual([]);
      expect(window.takenPages).toBe(0);
      expect(mapping.statistics).toMatchObject({ maps: 0, unmaps: 0, live: 0 });
    }
    tables.putStatus = H_SUCCESS;
    mapping.unmap(mapping.map(0x1000, pages * PAGE, DmaDirection.Bidirectional, words, 0), 0);
    expect(mapping.statistics).toMatchObject({ maps: 1, unmaps: 1, live: 0 });
  });
});

describe('TceDmaMapping.unmap', () => {
  it("takes the device's access away", () => {
    const { memory, mapping, words, space, faults } = openTceMapping();
    const id = mapping.map(0x5000, 64, DmaDirection.FromDevice, words, 0);
    const { generation } = space;
    mapping.unmap(id, 64);
    expect(space.generation).not.toBe(generation);
    expect(space.write(words[0]!, words[1]!, new Uint8Array(64).fill(1), 0, 64)).toBe(false);
    expect(faults.entries).toEqual([{ address: 0n, length: 64, access: 'write', cause: 'unmapped' }]);
    expect(memory.u8.every((byte) => byte === 0)).toBe(true);
  });

  it('accepts every id once', () => {
    const { mapping, words } = openTceMapping();
    const id = mapping.map(0x5000, 64, DmaDirection.FromDevice, words, 0);
    mapping.syncForCpu(id, 0, 64);
    mapping.unmap(id, 64);
    const next = mapping.map(0x5000, 64, DmaDirection.FromDevice, words, 0);
    expect(next).not.toBe(id);
    expect(() => mapping.unmap(id, 0)).toThrow(RangeError);
    expect(() => mapping.syncForCpu(id, 0, 0)).toThrow(RangeError);
    expect(() => mapping.syncForDevice(id, 0, 0)).toThrow(RangeError);
    expect(mapping.statistics).toEqual({ maps: 2, unmaps: 1, bytesBounced: 0, live: 1, leaked: 0 });
  });

  it('never reuses a bus page that the hypervisor did not clear, and counts it as live', () => {
    const { tables, mapping, words } = openTceMapping({ pages: 2 });
    const id = mapping.map(0, 1, DmaDirection.ToDevice, words, 0);
    tables.clearStatus = H_HARDWARE;
    mapping.unmap(id, 0);
    tables.clearStatus = H_SUCCESS;
    expect(mapping.statistics).toMatchObject({ unmaps: 0, live: 0, leaked: 1 });
    expect(mapping.map(0, 1, DmaDirection.ToDevice, words, 0)).toBeGreaterThanOrEqual(0);
    expect(words[0]).toBe(PAGE);
    expect(mapping.map(0, 1, DmaDirection.ToDevice, words, 0)).toBe(DMA_NO_SPACE);
  });
});

describe('the regions of TceDmaMapping', () => {
  it('are contiguous for the device until their release', () => {
    const bench = openTceMapping();
    const { mapping, words, space } = bench;
    const region = mapping.premap(0x5100, 3 * PAGE, DmaDirection.FromDevice);
    region.writeDeviceAddress(2 * PAGE, words, 0);
    expect([...words]).toEqual([0x2100, 0]);
    expect(space.borrow(0x100, 0, 3 * PAGE, 'write')).toBe(0x5100);
    expect(space.borrow(0x100, 0, 1, 'read')).toBe(-1);
    region.release();
    expect(permittedPages(bench)).toEqual([]);
    expect(() => region.release()).toThrow(RangeError);
    expect(mapping.statistics).toEqual({ maps: 1, unmaps: 1, bytesBounced: 0, live: 0, leaked: 0 });
  });

  it('of coherent memory are aligned for both sides, zeroed, readable and writable', () => {
    const { memory, mapping, words, space } = openTceMapping();
    mapping.map(0x5000, 1, DmaDirection.ToDevice, words, 0);
    const region = mapping.allocateCoherent(100, 4 * PAGE);
    region.writeDeviceAddress(0, words, 0);
    expect(region.address % (4 * PAGE)).toBe(0);
    expect(words[0]! % (4 * PAGE)).toBe(0);
    expect(space.borrow(words[0]!, words[1]!, 100, 'read')).toBe(region.address);
    expect(space.borrow(words[0]!, words[1]!, 100, 'write')).toBe(region.address);
    expect(memory.allocated).toBe(PAGE);
    region.release();
    expect(memory.allocated).toBe(0);
    expect(() => region.release()).toThrow(RangeError);
    expect(memory.allocated).toBe(0);
  });

  it('fail with a code, and leave nothing allocated', () => {
    const { memory, tables, mapping } = openTceMapping({ pages: 4 });
    mapping.premap(0, 2 * PAGE, DmaDirection.ToDevice);
    expect(() => mapping.allocateCoherent(3 * PAGE, 16)).toThrow(
      expect.objectContaining({
        code: 'ERR_DMA_EXHAUSTED',
        message: expect.stringContaining('2 of 4 pages are taken'),
      }),
    );
    const range = expect.objectContaining({ code: 'ERR_DMA_RANGE' });
    expect(() => mapping.premap(0, 4 * PAGE, DmaDirection.ToDevice)).toThrow(range);
    expect(() => mapping.premap(memory.size, 1, DmaDirection.ToDevice)).toThrow(range);
    expect(() => mapping.premap(0, 0, DmaDirection.ToDevice)).toThrow(range);
    tables.putStatus = H_HARDWARE;
    expect(() => mapping.allocateCoherent(16, 16)).toThrow(range);
    expect(memory.allocated).toBe(0);
    expect(mapping.statistics).toMatchObject({ maps: 1, live: 1 });
  });

  it('keep their memory when the hypervisor does not clear the pages', () => {
    const { memory, tables, mapping } = openTceMapping();
    const region = mapping.allocateCoherent(16, 16);
    tables.clearStatus = H_HARDWARE;
    region.release();
    expect(memory.allocated).toBe(PAGE);
    expect(mapping.statistics).toMatchObject({ live: 0, leaked: 1 });
  });

  it('and mappings are released by dispose', () => {
    const bench = openTceMapping();
    const { memory, mapping, words } = bench;
    mapping.map(0x5000, 64, DmaDirection.FromDevice, words, 0);
    mapping.premap(0x6000, 64, DmaDirection.FromDevice);
    mapping.allocateCoherent(64, 16);
    mapping.dispose();
    expect(mapping.statistics).toEqual({ maps: 3, unmaps: 3, bytesBounced: 0, live: 0, leaked: 0 });
    expect(permittedPages(bench)).toEqual([]);
    expect(memory.allocated).toBe(0);
  });
});

describe('TceWindow.writeBusAddress', () => {
  it.each([
    [0x0800_0000_0000_0000n, 0, 0, DDW_HIGH],
    [0x0800_0000_0000_0000n, 0xffff_ffff, 0xffff_ffff, DDW_HIGH],
    [0x0800_0000_0000_0000n, 0x1_0000_0000, 0, DDW_HIGH + 1],
    [0x0800_0000_0000_0000n, 0x3_1234_5678, 0x1234_5678, DDW_HIGH + 3],
    [0x0800_0000_ffff_f000n, 0xfff, 0xffff_ffff, DDW_HIGH],
    [0x0800_0000_ffff_f000n, 0x1000, 0, DDW_HIGH + 1],
    [0x0800_0000_ffff_f000n, 0x1_0000_1fff, 0xfff, DDW_HIGH + 2],
    [0xffff_f000n, 0x1000, 0, 1],
    [0n, 0, 0, 0],
  ])('of base %s and offset %i carries into the high word', (base, offset, low, high) => {
    const window: DmaWindow = { liobn: 0x8000_0001, base, size: 2 ** 34, pageShift: 12 };
    const tables = new RefusingTceTables({ memorySize: PAGE, defaultWindowSize: PAGE });
    const words = new Uint32Array(4);
    new TceWindow(tables, window).writeBusAddress(offset, words, 1);
    expect([...words]).toEqual([0, low, high, 0]);
  });
});
