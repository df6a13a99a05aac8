import { FaultLog } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import plugin, { pseriesOptionsSchema, SimulatedTceTables, TCE_READ, TCE_WRITE } from '../../src/index.ts';
import { openAddressSpace } from '../../src/simulated/open-address-space.ts';

const LIOBN = 0x8000_0000;
const DDW_HIGH = 0x0800_0000;

function openBench() {
  const memory = new GuestMemory(new SharedArrayBuffer(0x10_0000));
  const tables = new SimulatedTceTables({ memorySize: memory.size, defaultWindowSize: 0x1_0000 });
  const faults = new FaultLog();
  // A clone shares the tables, as the copy that a worker gets does.
  const state = structuredClone({ tables: tables.state, pages: undefined });
  return { memory, tables, faults, space: openAddressSpace(memory, faults, state) };
}

describe('the address space behind simulated TCE tables', () => {
  it.each([
    [0, 'unmapped', 'unmapped'],
    [TCE_READ, undefined, 'write-not-permitted'],
    [TCE_WRITE, 'read-not-permitted', undefined],
    [TCE_READ | TCE_WRITE, undefined, undefined],
  ])('with permission %s faults a read as %s and a write as %s', (permission, readCause, writeCause) => {
    const { memory, tables, space, faults } = openBench();
    tables.putTce(LIOBN, 0x2000, 0, 0x7000 | permission, 0);
    memory.u8.fill(0xaa, 0x7000, 0x8000);
    const target = new Uint8Array(4).fill(0x11);
    const isRead = space.read(0x2010, 0, target, 0, 4);
    const isWritten = space.write(0x2010, 0, new Uint8Array(4).fill(0x55), 0, 4);
    expect([isRead, isWritten]).toEqual([readCause === undefined, writeCause === undefined]);
    expect(target[3]).toBe(isRead ? 0xaa : 0);
    expect(memory.u8[0x7013]).toBe(isWritten ? 0x55 : 0xaa);
    const place = { address: 0x2010n, length: 4 };
    const read = { ...place, access: 'read', cause: readCause };
    const write = { ...place, access: 'write', cause: writeCause };
    expect(faults.entries).toEqual([read, write].filter(({ cause }) => cause !== undefined));
  });

  it('checks every page of an access on its own', () => {
    const { memory, tables, space, faults } = openBench();
    tables.putTce(LIOBN, 0x0000, 0, 0x7000 | TCE_WRITE, 0);
    tables.putTce(LIOBN, 0x1000, 0, 0x9000 | TCE_READ, 0);
    expect(space.write(0xffe, 0, new Uint8Array(4).fill(0x55), 0, 4)).toBe(false);
    expect([...memory.u8.subarray(0x7ffe, 0x8000)]).toEqual([0x55, 0x55]);
    expect([...memory.u8.subarray(0x9000, 0x9002)]).toEqual([0, 0]);
    expect(faults.entries).toEqual([{ address: 0x1000n, length: 2, access: 'write', cause: 'write-not-permitted' }]);
  });

  it.each([
    [0x1_0000, 0],
    [0, 1],
    [0xffff_ffff, DDW_HIGH - 1],
    [0x10_0000, DDW_HIGH],
    [0xffff_ffff, 0xffff_ffff],
  ])('has nothing outside its windows, at low %i high %i', (low, high) => {
    const { tables, space, faults } = openBench();
    tables.createWindow(12, 20);
    expect(space.borrow(low, high, 1, 'read')).toBe(-1);
    expect(faults.entries[0]?.cause).toBe('outside-window');
  });

  it('translates through a window that is created later, until it is removed', () => {
    const { tables, space, faults } = openBench();
    const { window } = tables.createWindow(16, 20);
    tables.putTce(window!.liobn, 0x3_0000, DDW_HIGH, 0x5_0000 | TCE_READ, 0);
    expect(space.borrow(0x3_1234, DDW_HIGH, 16, 'read')).toBe(0x5_1234);
    const { generation } = space;
    tables.removeWindow(window!.liobn);
    expect(space.generation).not.toBe(generation);
    expect(space.borrow(0x3_1234, DDW_HIGH, 16, 'read')).toBe(-1);
    expect(faults.entries[0]).toEqual({
      address: 0x0800_0000_0003_1234n,
      length: 16,
      access: 'read',
      cause: 'outside-window',
    });
  });

  it('reaches beyond the first 4 GiB of a window', () => {
    const { tables, space } = openBench();
    const { window } = tables.createWindow(16, 34);
    expect(tables.putTce(window!.liobn, 0x2_0000, DDW_HIGH + 1, 0x4_0000 | TCE_READ, 0)).toBe(0);
    expect(space.borrow(0x2_0008, DDW_HIGH + 1, 8, 'read')).toBe(0x4_0008);
    expect(space.borrow(0x2_0008, DDW_HIGH, 8, 'read')).toBe(-1);
  });

  it('faults at an entry that points beyond memory', () => {
    const { memory, tables, space, faults } = openBench();
    tables.putTce(LIOBN, 0, 0, (memory.size | 3) >>> 0, 0);
    tables.putTce(LIOBN, 0x1000, 0, 3, 0xffff_ffff);
    expect(space.write(0, 0, new Uint8Array(4), 0, 4)).toBe(false);
    expect(space.write(0x1000, 0, new Uint8Array(4), 0, 4)).toBe(false);
    expect(faults.entries.map(({ cause }) => cause)).toEqual(['outside-memory', 'outside-memory']);
  });

  it('refuses a foreign state', () => {
    const { memory, faults } = openBench();
    expect(() => openAddressSpace(memory, faults, { tables: [], pages: undefined })).toThrow(TypeError);
  });
});

describe('the simulated hardware of pseries', () => {
  const memory = new GuestMemory(new SharedArrayBuffer(0x10_0000));
  const hardware = plugin.simulate!(memory, pseriesOptionsSchema.parse({ guestEndian: 'big' }));

  it('gives a device without ACCESS_PLATFORM all of memory, without the tables', () => {
    const faults = new FaultLog();
    const { open, state } = hardware.addressSpace(false);
    expect(open(memory, faults, state).borrow(0x3000, 0, 64, 'write')).toBe(0x3000);
    expect(faults.count).toBe(0);
  });

  it('gives a device with ACCESS_PLATFORM only mapped memory', () => {
    const faults = new FaultLog();
    const { open, state } = hardware.addressSpace(true);
    expect(open(memory, faults, state).borrow(0x3000, 0, 64, 'write')).toBe(-1);
    expect(faults.entries[0]?.cause).toBe('unmapped');
  });

  it('names a module that opens the same address space in a worker, with a state that can be cloned', async () => {
    const { module, state } = hardware.addressSpace(true);
    const loaded: { openAddressSpace?: unknown } = await import(module!);
    expect(loaded.openAddressSpace).toBe(openAddressSpace);
    expect(() => structuredClone(state)).not.toThrow();
  });

  it('states the byte order of the guest', () => {
    expect(hardware.guestByteOrder).toBe('big');
  });
});
