import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { DeviceAccess, DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DmaDirection } from '@virtio-platform/core/dma';
import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import { skipCheck, type ContractCheck } from '../../contract-check.ts';
import {
  deviceOf,
  deviceRead,
  deviceWrite,
  hex,
  mapBuffer,
  pattern,
  reaches,
  reachesForNow,
  regionAddress,
  requireRevocation,
  wordsOf,
  type DmaMappingTrial,
} from './dma-trial.ts';

const { Bidirectional, FromDevice, ToDevice } = DmaDirection;

/** The largest page that is common in an IOMMU of POWER; the buffers of the next list lie around its end. */
const LARGE_PAGE = 64 * 1024;
/** Offset and length of buffers that cross the end of a small or a large page in every way. */
const CROSSING: readonly (readonly [offset: number, length: number])[] = [
  [0, PAGE_SIZE],
  [1, PAGE_SIZE],
  [PAGE_SIZE - 1, 2],
  [PAGE_SIZE - 1, PAGE_SIZE + 2],
  [100, PAGE_SIZE - 99],
  [3000, 2 * PAGE_SIZE],
  [0, 3 * PAGE_SIZE],
  [LARGE_PAGE - 1, 2],
  [LARGE_PAGE - 1000, 2000],
  [LARGE_PAGE - 1, LARGE_PAGE + 2],
];
/** Bytes on either side of the end of what a device reaches. */
const HALF = 32;

/** What a device reaches through a live mapping, and what not. */
export const DMA_ACCESS_CHECKS: readonly ContractCheck<DmaMappingTrial>[] = [
  {
    name: 'gives the device all of a buffer that crosses pages',
    duty: 'DmaMapping.map: maps `length` bytes at `address`, wherever in a page the buffer begins and ends',
    advice: 'map the pages from floor(address / page) to floor((address + length - 1) / page), not ceil(length / page)',
    run(trial) {
      const device = deviceOf(trial);
      const { mapping, memory } = trial;
      const { maxMappingSize, reach } = mapping.limits;
      const area = memory.allocate(3 * LARGE_PAGE, LARGE_PAGE, reach);
      for (const [offset, length] of CROSSING) {
        if (length > maxMappingSize) continue;
        const where = `a buffer of ${length} bytes at offset ${offset}`;
        const [start, end] = [area + offset, area + offset + length];
        memory.u8.set(pattern(length), start);
        const { id, address } = mapBuffer(mapping, start, length, Bidirectional);
        assert.deepEqual(deviceRead(device, address, length), pattern(length), `${where}: the device reads all of it`);
        assert.ok(deviceWrite(device, address, pattern(length, 1)), `${where}: the device writes all of it`);
        mapping.unmap(id, length);
        assert.deepEqual(memory.u8.slice(start, end), pattern(length, 1), `${where}: all of it comes back`);
        const region = mapping.premap(start, length, Bidirectional);
        assert.ok(deviceWrite(device, regionAddress(region), pattern(length, 2)), `${where}, premapped: is written`);
        region.syncForCpu(0, length);
        region.release();
        assert.deepEqual(memory.u8.slice(start, end), pattern(length, 2), `${where}, premapped: all of it comes back`);
      }
      memory.free(area);
      assert.deepEqual(device.faults.entries, []);
    },
  },
  {
    name: 'stops an access of the device where its memory ends',
    duty: 'DeviceAddressSpace: an access that the platform does not allow is recorded, from its first refused byte on',
    advice:
      'AddressTranslation.run: count only the bytes that are contiguous and equally permitted, to the end of the page',
    run(trial) {
      const device = deviceOf(trial);
      const { mapping, memory, buffer } = trial;
      const { address } = mapBuffer(mapping, buffer + 3 * PAGE_SIZE, PAGE_SIZE, Bidirectional);
      const edge = endOfReach(device, address, memory.size);
      const start = edge - BigInt(HALF);
      const before = memory.u8.slice();
      const where = `${2 * HALF} bytes at ${hex(start)}, of which the device reaches ${HALF} one by one`;

      const words = wordsOf(start);
      const seen = new Uint8Array(2 * HALF);
      assertStopped(device, edge, 'read', () => device.read(...words, seen, 0, 2 * HALF), `a read of ${where}`);
      const near = Uint8Array.from({ length: HALF }, (_, i) => deviceRead(device, start + BigInt(i), 1)![0]!);
      assert.deepEqual(seen.subarray(0, HALF), near, 'the part of a read before the fault is read');

      const source = new Uint8Array(randomBytes(2 * HALF));
      const write = (): boolean => device.write(...words, source, 0, 2 * HALF);
      assertStopped(device, edge, 'write', write, `a write of ${where}`);
      assert.ok(indexOf(memory, source.subarray(0, HALF)) >= 0, 'the part of a write before the fault takes effect');
      assert.equal(indexOf(memory, source.subarray(HALF)), -1, 'the part of a write behind the fault is dropped');
      memory.u8.set(before);

      for (const access of ['read', 'write'] as const) {
        const borrow = (): boolean => device.borrow(...words, 2 * HALF, access) >= 0;
        assertStopped(device, edge, access, borrow, `borrow to ${access} of ${where}`);
      }
    },
  },
  {
    name: 'ends a run of the device at the end of its mapping',
    duty: 'DeviceAddressSpace.borrow: a range that is one run of memory; AddressTranslation.run: bytes that are contiguous',
    advice: 'end a run with its page, unless the next entry of the table continues it in memory',
    run(trial) {
      const device = deviceOf(trial);
      const { mapping, memory, buffer } = trial;
      const pages = [5, 2, 4, 1, 6, 0].map((page) => buffer + page * PAGE_SIZE);
      for (const [i, page] of pages.entries()) memory.u8.fill(i + 1, page, page + PAGE_SIZE);
      const addresses = pages.map((page) => mapBuffer(mapping, page, PAGE_SIZE, ToDevice).address);
      let neighbours = 0;
      for (const [i, address] of addresses.entries()) {
        const next = addresses.indexOf(address + BigInt(PAGE_SIZE));
        if (next < 0 || pages[next] === pages[i]! + PAGE_SIZE) continue;
        neighbours++;
        const start = address + BigInt(PAGE_SIZE - HALF);
        const expected = [...Array<number>(HALF).fill(i + 1), ...Array<number>(HALF).fill(next + 1)];
        assert.deepEqual(deviceRead(device, start, 2 * HALF), Uint8Array.from(expected), `at ${hex(start)}`);
        if (mapping.path.startsWith('bounced')) continue;
        assert.equal(device.borrow(...wordsOf(start), 2 * HALF, 'read'), -1, `two runs at ${hex(start)} lend as one`);
      }
      if (neighbours === 0) skipCheck('no two of these mappings are neighbours for the device and strangers in memory');
    },
  },
  {
    name: 'lets the device do only what the direction says',
    duty: 'DmaDirection.ToDevice: the device only reads. Bidirectional: it reads and writes',
    advice:
      'keep the direction in the table entry, and compare it with `access` in translate; copy back nothing ToDevice',
    run(trial) {
      const device = deviceOf(trial);
      const { mapping, memory, buffer, revokes } = trial;
      const isCopied = mapping.path.startsWith('bounced');
      if (!revokes && !isCopied)
        skipCheck(trial.because ?? `on the path ${mapping.path} the device reaches memory in both directions`);
      memory.u8.fill(7, buffer, buffer + 2 * PAGE_SIZE);
      const forDevice = mapBuffer(mapping, buffer, PAGE_SIZE, ToDevice);
      if (revokes) assertRefused(device, forDevice.address, 'write', 'a buffer mapped ToDevice');
      else deviceWrite(device, forDevice.address, pattern(64));
      mapping.syncForCpu(forDevice.id, 0, 64);
      mapping.unmap(forDevice.id, 64);
      assertUnchanged(memory, buffer, 'a buffer mapped ToDevice');
      if (!revokes) return;
      const forBoth = mapBuffer(mapping, buffer, PAGE_SIZE, Bidirectional);
      for (const access of ['read', 'write'] as const)
        assert.ok(reachesForNow(trial, device, forBoth.address, access), `Bidirectional: the device may ${access}`);
      mapping.unmap(forBoth.id, 0);
      const region = mapping.premap(buffer + PAGE_SIZE, PAGE_SIZE, ToDevice);
      assertRefused(device, regionAddress(region), 'write', 'a region premapped ToDevice');
      region.release();
      assertUnchanged(memory, buffer + PAGE_SIZE, 'a premapped region');
    },
  },
  {
    name: 'lets the device read nothing that is mapped FromDevice',
    duty: 'DmaDirection.FromDevice: the device only writes, but with PlatformTraits.writableIsReadable',
    advice: 'allow only writes in the table entry; where your tables have no such entry, state writableIsReadable',
    run(trial) {
      const device = deviceOf(trial);
      requireRevocation(trial);
      if (trial.writableIsReadable === true)
        skipCheck('writableIsReadable: the tables have no entry for writing alone, so the device reads it, too');
      const { mapping, memory, buffer } = trial;
      memory.u8.fill(7, buffer, buffer + 2 * PAGE_SIZE);
      const { id, address } = mapBuffer(mapping, buffer, PAGE_SIZE, FromDevice);
      assertRefused(device, address, 'read', 'a buffer mapped FromDevice');
      mapping.unmap(id, 0);
      const region = mapping.premap(buffer + PAGE_SIZE, PAGE_SIZE, FromDevice);
      assertRefused(device, regionAddress(region), 'read', 'a region premapped FromDevice');
      region.release();
    },
  },
  {
    name: 'looks at both words of a device address',
    duty: 'DmaMapping: a device address is 64 bits, always as two words',
    advice: 'compare the high word too; refuse addresses wider than limits.addressBits',
    run(trial) {
      const device = deviceOf(trial);
      const { mapping, buffer } = trial;
      const { address } = mapBuffer(mapping, buffer, 64, Bidirectional);
      const coherent = mapping.allocateCoherent(64, 16);
      for (const start of [address, regionAddress(coherent)]) {
        for (const flip of [1n << 32n, 1n << 52n, 1n << 63n]) {
          const other = start ^ flip;
          assert.ok(!reaches(device, other, 'read'), `${hex(start)} is mapped, and ${hex(other)} reaches memory too`);
        }
      }
      coherent.release();
    },
  },
  {
    name: 'syncs a live mapping both ways',
    duty: 'DmaMapping.syncForDevice, syncForCpu: make the bytes of a live mapping visible to the other side',
    advice: 'copy driver to device in syncForDevice, and device to driver in syncForCpu, without an unmap',
    run(trial) {
      const device = deviceOf(trial);
      const { mapping, memory, buffer } = trial;
      const { id, address } = mapBuffer(mapping, buffer + 5, 900, Bidirectional);
      memory.u8.set(pattern(300, 3), buffer + 5 + 100);
      mapping.syncForDevice(id, 100, 300);
      assert.deepEqual(deviceRead(device, address + 100n, 300), pattern(300, 3), 'the device sees the new bytes');
      assert.ok(deviceWrite(device, address + 200n, pattern(50, 4)));
      mapping.syncForCpu(id, 200, 50);
      assert.deepEqual(memory.u8.slice(buffer + 205, buffer + 255), pattern(50, 4), 'the driver sees the new bytes');
      mapping.unmap(id, 0);
    },
  },
  {
    name: 'keeps a mapping when another one of the same page is unmapped',
    duty: 'DmaMapping: between map and unmap the memory belongs to the device',
    advice: 'give every mapping a page of device addresses of its own, or count the mappings of a page',
    run(trial) {
      const device = deviceOf(trial);
      const { mapping, memory, buffer } = trial;
      memory.u8.set(pattern(PAGE_SIZE), buffer);
      const kept = mapBuffer(mapping, buffer + 1024, 512, ToDevice);
      const region = mapping.premap(buffer, 2048, ToDevice);
      for (const offset of [0, 512, 1024, 2000]) {
        mapping.unmap(mapBuffer(mapping, buffer + offset, 512, ToDevice).id, 0);
        const seen = deviceRead(device, kept.address, 512);
        assert.deepEqual(seen, memory.u8.slice(buffer + 1024, buffer + 1536), 'the device still reaches the mapping');
      }
      mapping.unmap(kept.id, 0);
      const stillReaches = reachesForNow(trial, device, regionAddress(region), 'read');
      assert.ok(stillReaches, 'the device still reaches the region');
      region.release();
    },
  },
];

/** The first page of device addresses behind `address` that the device does not reach. */
function endOfReach(device: DeviceAddressSpace, address: bigint, memory: number): bigint {
  const page = BigInt(PAGE_SIZE);
  for (let edge = (address / page + 1n) * page; edge <= address + BigInt(memory) + page; edge += page)
    if (!reaches(device, edge, 'read')) return edge;
  return assert.fail(`from ${hex(address)} on the device reaches more addresses than there is memory`);
}

/** `attempt` fails, with one fault whose first refused byte is the one at `edge`. */
function assertStopped(
  device: DeviceAddressSpace,
  edge: bigint,
  access: DeviceAccess,
  attempt: () => boolean,
  what: string,
): void {
  const { count } = device.faults;
  assert.equal(attempt(), false, `${what}, does not go beyond ${hex(edge)}`);
  assert.equal(device.faults.count, count + 1, `${what}, records one fault`);
  if (device.faults.count > device.faults.entries.length) return;
  const { cause: _cause, ...fault } = device.faults.entries.at(-1)!;
  assert.deepEqual(fault, { address: edge, length: HALF, access }, `the fault of ${what}`);
}

/** The device's access fails with a fault, and changes and shows nothing. */
function assertRefused(device: DeviceAddressSpace, address: bigint, access: DeviceAccess, what: string): void {
  const { count } = device.faults;
  const bytes = new Uint8Array(64).fill(0xee);
  const words = wordsOf(address);
  const isTaken = access === 'read' ? device.read(...words, bytes, 0, 64) : device.write(...words, bytes, 0, 64);
  assert.equal(isTaken, false, `${what}: the device may not ${access} at ${hex(address)}`);
  assert.equal(device.borrow(...words, 64, access), -1, `${what}: is not lent to the device to ${access}`);
  assert.equal(device.faults.count, count + 2, `${what}: each refused ${access} is a recorded fault`);
  assert.equal(device.faults.entries.at(-1)?.access, access);
  if (access === 'read')
    assert.ok(
      bytes.every((byte) => byte === 0),
      `${what}: what could not be read is zero`,
    );
}

function assertUnchanged(memory: GuestMemory, buffer: number, what: string): void {
  const isSame = memory.u8.subarray(buffer, buffer + PAGE_SIZE).every((byte) => byte === 7);
  assert.ok(isSame, `${what}: the device's write does not arrive in it`);
}

function indexOf(memory: GuestMemory, bytes: Uint8Array): number {
  return Buffer.from(memory.buffer).indexOf(bytes);
}
