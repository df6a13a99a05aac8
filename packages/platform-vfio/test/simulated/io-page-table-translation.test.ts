import { FaultLog, PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import {
  IoPageTable,
  simulateVfio,
  translatedAddressSpace,
  VFIO_DMA_MAP_FLAG_READ,
  VFIO_DMA_MAP_FLAG_WRITE,
  vfioOptionsSchema,
} from '@virtio-platform/platform-vfio';
import { startProcess, type UserProcess } from '../user-process.ts';

const READ = VFIO_DMA_MAP_FLAG_READ;
const WRITE = VFIO_DMA_MAP_FLAG_WRITE;
const DATA = new Uint8Array(64).fill(0xab);

/** Every access of a device at one address has to fail like this, and change nothing. */
function expectFaults({ memory, space, faults }: UserProcess, low: number, high: number, cause: string): void {
  const before = Buffer.from(memory.u8);
  const count = faults.count;
  const target = new Uint8Array(64).fill(1);
  expect(space.read(low, high, target, 0, 64)).toBe(false);
  expect(space.write(low, high, DATA, 0, 64)).toBe(false);
  expect(space.borrow(low, high, 64, 'read')).toBe(-1);
  expect(target).toEqual(new Uint8Array(64));
  expect(faults.entries.slice(count).map((fault) => fault.cause)).toEqual([cause, cause, cause]);
  expect(Buffer.from(memory.u8).equals(before)).toBe(true);
}

describe('the address space of a device behind a container', () => {
  it('faults before a mapping is made and after it is gone, and works between', () => {
    const process = startProcess();
    const { memory, container, space, faults } = process;
    expectFaults(process, 0x5000, 0, 'unmapped');
    container.mapDma(8 * PAGE_SIZE, 0x5000, PAGE_SIZE, READ | WRITE);
    expect(space.write(0x5010, 0, DATA, 0, 64)).toBe(true);
    expect(memory.u8.slice(8 * PAGE_SIZE + 16, 8 * PAGE_SIZE + 80)).toEqual(DATA);
    expect(space.borrow(0x5000, 0, PAGE_SIZE, 'write')).toBe(8 * PAGE_SIZE);
    const { generation } = space;
    const count = faults.count;
    container.unmapDma(0x5000, PAGE_SIZE);
    expect(space.generation).not.toBe(generation);
    expect(faults.count).toBe(count);
    expectFaults(process, 0x5000, 0, 'unmapped');
  });

  it('lets a device only read where it may read, and only write where it may write', () => {
    const { memory, container, space, faults } = startProcess();
    container.mapDma(8 * PAGE_SIZE, 0x1000, PAGE_SIZE, READ);
    container.mapDma(9 * PAGE_SIZE, 0x2000, PAGE_SIZE, WRITE);
    const before = Buffer.from(memory.u8);
    expect(space.read(0x1000, 0, new Uint8Array(8), 0, 8)).toBe(true);
    expect(space.write(0x1000, 0, DATA, 0, 8)).toBe(false);
    expect(space.read(0x2000, 0, new Uint8Array(8), 0, 8)).toBe(false);
    expect(Buffer.from(memory.u8).equals(before)).toBe(true);
    expect(space.write(0x2000, 0, DATA, 0, 8)).toBe(true);
    expect(faults.entries).toEqual([
      { address: 0x1000n, length: 8, access: 'write', cause: 'write-not-permitted' },
      { address: 0x2000n, length: 8, access: 'read', cause: 'read-not-permitted' },
    ]);
  });

  it('stops an access at the first page that is not mapped', () => {
    const { memory, container, space, faults } = startProcess();
    container.mapDma(8 * PAGE_SIZE, 0x1000, PAGE_SIZE, READ | WRITE);
    expect(space.write(0x2000 - 10, 0, DATA, 0, 64)).toBe(false);
    expect(memory.u8.slice(9 * PAGE_SIZE - 10, 9 * PAGE_SIZE)).toEqual(DATA.slice(0, 10));
    expect(memory.u8.slice(9 * PAGE_SIZE, 10 * PAGE_SIZE)).toEqual(new Uint8Array(PAGE_SIZE));
    expect(faults.entries).toEqual([{ address: 0x2000n, length: 54, access: 'write', cause: 'unmapped' }]);
  });

  it('follows pages that are neighbours for the device and not in memory', () => {
    const { memory, container, space, faults } = startProcess();
    container.mapDma(20 * PAGE_SIZE, 0x1000, PAGE_SIZE, READ | WRITE);
    container.mapDma(10 * PAGE_SIZE, 0x2000, PAGE_SIZE, READ | WRITE);
    space.write(0x2000 - 10, 0, DATA, 0, 64);
    expect(memory.u8.slice(21 * PAGE_SIZE - 10, 21 * PAGE_SIZE)).toEqual(DATA.slice(0, 10));
    expect(memory.u8.slice(10 * PAGE_SIZE, 10 * PAGE_SIZE + 54)).toEqual(DATA.slice(10));
    expect(space.borrow(0x2000 - 10, 0, 64, 'read')).toBe(-1);
    expect(faults.entries.map((fault) => fault.cause)).toEqual(['not-contiguous']);
  });

  it.each([
    [39, 0, 1 << 7],
    [39, 0xffff_f000, 0xffff_ffff],
    [48, 0, 1 << 16],
  ] as const)('knows nothing beyond an aperture of %i bits', (addressWidth, low, high) => {
    const process = startProcess({ addressWidth });
    expect(process.container.mapDma(8 * PAGE_SIZE, 0, PAGE_SIZE, READ | WRITE)).toBe(0);
    expectFaults(process, low, high, 'outside-window');
  });

  it.each([
    [39, 0x0000_0000, 0x00],
    [39, 0x8020_3000, 0x7f],
    [48, 0x0000_0000, 0x00],
    [48, 0xffff_f000, 0xffff],
    [48, 0x0000_0000, 0x0080],
  ] as const)('tells every address of %i bits from its neighbours', (addressWidth, low, high) => {
    const process = startProcess({ addressWidth });
    const { container, space } = process;
    const iova = high * 2 ** 32 + low;
    expect(container.mapDma(8 * PAGE_SIZE, iova, PAGE_SIZE, READ | WRITE)).toBe(0);
    expect(space.borrow(low, high, PAGE_SIZE, 'write')).toBe(8 * PAGE_SIZE);
    // One bit off at every level of the table.
    for (const bit of [12, 21, 30, addressWidth - 1]) {
      const other = Number(BigInt(iova) ^ (1n << BigInt(bit)));
      expectFaults(process, other % 2 ** 32, Math.floor(other / 2 ** 32), 'unmapped');
    }
  });

  it('sees what another owner of the table maps and unmaps', async () => {
    const memory = new GuestMemory(new SharedArrayBuffer(16 * PAGE_SIZE));
    const table = IoPageTable.create(39);
    const { module, state, open } = translatedAddressSpace(table);
    expect(await import(module!)).toHaveProperty('openAddressSpace', open);
    const space = open(memory, new FaultLog(), structuredClone(state));
    table.set(0x7000, 3, READ);
    expect(space.borrow(0x7000, 0, 16, 'read')).toBe(3 * PAGE_SIZE);
    table.clear(0x7000);
    expect(space.borrow(0x7000, 0, 16, 'read')).toBe(-1);
  });
});

describe('simulateVfio', () => {
  it('lets a device that does not offer ACCESS_PLATFORM bypass the IOMMU', () => {
    const memory = new GuestMemory(new SharedArrayBuffer(16 * PAGE_SIZE));
    const hardware = simulateVfio(memory, vfioOptionsSchema.parse({}));
    expect(hardware.addressSpace(false)).toBe(PHYSICAL_ADDRESS_SPACE);
    expect(hardware.addressSpace(true)).not.toBe(PHYSICAL_ADDRESS_SPACE);
  });
});
