import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { StreamTables } from '../../src/domain/stream-tables.ts';

const CONTEXT = { table: 0x12_3456_7000, granule: 4096, addressBits: 39, outputCode: 4, asid: 5 };

function wordsAt(memory: GuestMemory, address: number): bigint[] {
  return Array.from({ length: 8 }, (_, i) => memory.view.getBigUint64(address + 8 * i, true));
}

const newMemory = (bytes = 2 ** 20): GuestMemory => new GuestMemory(new SharedArrayBuffer(bytes));

describe('StreamTables', () => {
  it.each([
    [0x20, 6],
    [0x3f, 6],
    [0x100, 9],
  ])('lead from StreamID %i to stage 1, by a table of 2^%i entries that is aligned to its size', (streamId, bits) => {
    const memory = newMemory();
    const tables = new StreamTables(memory, streamId, CONTEXT);
    expect([tables.bits, tables.address % (64 * 2 ** bits)]).toEqual([bits, 0]);
    const [entry, attributes, ...rest] = wordsAt(memory, tables.address + 64 * streamId);
    // Valid, stage 1; the descriptor is cached and shared, and the shareability of accesses stays.
    expect([entry! & 0x3fn, attributes, ...rest]).toEqual([0xbn, 0x1000_0000_00d4n, 0n, 0n, 0n, 0n, 0n, 0n]);
    const [first, table, second, attributesOfMemory] = wordsAt(memory, Number(entry! & ~0x3fn));
    // T0SZ 25, walks cached, EPD1, V; IPS 4, AA64, R, A, ASET, ASID 5.
    expect([first, table, second, attributesOfMemory]).toEqual([0x5_e204_c000_3519n, 0x12_3456_7000n, 0n, 0xffn]);
    expect(tables.isIntact()).toBe(true);
    // Every other entry is invalid.
    const others = Array.from({ length: 2 ** bits }, (_, i) => wordsAt(memory, tables.address + 64 * i));
    expect(others.filter((words) => words.some((word) => word !== 0n))).toHaveLength(1);
    tables.free();
    expect(memory.allocated).toBe(0);
  });

  it.each([
    [16_384, 48, 0x90n],
    [65_536, 48, 0x50n],
  ])('have the granule %i in the descriptor', (granule, addressBits, low) => {
    const memory = newMemory();
    const tables = new StreamTables(memory, 0, { ...CONTEXT, granule, addressBits });
    const descriptor = Number(memory.view.getBigUint64(tables.address, true) & ~0x3fn);
    expect(memory.view.getBigUint64(descriptor, true) & 0xffn).toBe(low);
  });

  it('bypass without a context', () => {
    const memory = newMemory();
    const tables = new StreamTables(memory, 0x20, undefined);
    expect(wordsAt(memory, tables.address + 0x800)).toEqual([0x9n, 0x1000_0000_0000n, 0n, 0n, 0n, 0n, 0n, 0n]);
    expect(tables.walk()).toEqual([
      { table: `stream table at 0x${tables.address.toString(16)}`, says: '00:04.0 bypasses translation' },
    ]);
    memory.u8[tables.address + 0x800] = 1;
    expect(tables.isIntact()).toBe(false);
  });

  it('allocate nothing where memory for one of them is missing', () => {
    const memory = newMemory(8192);
    expect(() => new StreamTables(memory, 0x20, CONTEXT)).toThrow(
      expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED' }),
    );
    expect(memory.allocated).toBe(0);
  });
});
