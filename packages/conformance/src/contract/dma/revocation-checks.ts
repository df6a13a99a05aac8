import assert from 'node:assert/strict';
import { isCodedError } from '@virtio-platform/core';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
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
  resolveAt,
  type DmaMappingTrial,
} from './dma-trial.ts';

const { Bidirectional, ToDevice } = DmaDirection;
/** Mappings one after the other, among which a device address is most likely used again. */
const REUSES = 64;

/** What becomes of the device's access after unmap and release. */
export const DMA_REVOCATION_CHECKS: readonly ContractCheck<DmaMappingTrial>[] = [
  {
    name: 'takes the access of the device away with unmap and release',
    duty: 'PlatformTraits.isolates: an IOMMU lets a device reach only what was mapped for it',
    advice: 'clear the table entry in unmap and release, and invalidate what the address space has cached of it',
    run(trial) {
      const device = deviceOf(trial);
      requireRevocation(trial);
      const { mapping, memory, buffer } = trial;
      memory.u8.fill(3, buffer, buffer + 2 * PAGE_SIZE);
      const mapped = mapBuffer(mapping, buffer, PAGE_SIZE, Bidirectional);
      const region = mapping.premap(buffer + PAGE_SIZE, PAGE_SIZE, Bidirectional);
      const coherent = mapping.allocateCoherent(PAGE_SIZE, 16);
      const given = [
        ['a buffer after unmap', mapped.address],
        ['a region after release', regionAddress(region)],
        ['coherent memory after release', regionAddress(coherent)],
      ] as const;
      // The device uses each address once, so that what it caches is there to be invalidated.
      for (const [, address] of given) useOnce(trial, device, address);
      mapping.unmap(mapped.id, 0);
      region.release();
      coherent.release();
      const owned = [buffer, buffer + PAGE_SIZE, coherent.address].map((at) => memory.u8.slice(at, at + PAGE_SIZE));
      // Nothing else writes these bytes. An IOMMU may write elsewhere in memory: that it refused the access.
      const written = Buffer.from(pattern(16).map((byte) => byte ^ 0xa5));
      for (const [what, address] of given) {
        const { count } = device.faults;
        assert.equal(deviceWrite(device, address, written), false, `${what} is written at ${hex(address)}`);
        assert.equal(deviceRead(device, address, 16), undefined, `${what} is read at ${hex(address)}`);
        assert.equal(device.faults.count, count + 2, `${what}: each access is a recorded fault`);
      }
      const now = [buffer, buffer + PAGE_SIZE, coherent.address].map((at) => memory.u8.slice(at, at + PAGE_SIZE));
      assert.deepEqual(now, owned, 'the memory that was given back is unchanged');
      assert.ok(!Buffer.from(memory.u8).includes(written), 'what the device wrote is nowhere in memory');
    },
  },
  {
    name: 'changes the generation of the address space when it takes an access away',
    duty: 'DeviceAddressSpace.generation, seenGeneration: change when a translation is removed or narrowed',
    advice:
      'count up in the shared state with each translation that is taken away: devices keep borrowed ranges until then',
    run(trial) {
      const device = deviceOf(trial);
      const { mapping, buffer } = trial;
      const mapped = mapBuffer(mapping, buffer, PAGE_SIZE, Bidirectional);
      const region = mapping.premap(buffer + PAGE_SIZE, PAGE_SIZE, Bidirectional);
      const coherent = mapping.allocateCoherent(PAGE_SIZE, 16);
      const last = mapBuffer(mapping, buffer + 2 * PAGE_SIZE, PAGE_SIZE, Bidirectional);
      const takings: readonly [what: string, address: bigint, take: () => void][] = [
        ['unmap', mapped.address, () => mapping.unmap(mapped.id, 0)],
        ['release of a region', regionAddress(region), () => region.release()],
        ['release of coherent memory', regionAddress(coherent), () => coherent.release()],
        ['dispose', last.address, () => mapping.dispose()],
      ];
      let taken = 0;
      for (const [what, address, take] of takings) {
        const { generation } = device;
        const isReached = reachesForNow(trial, device, address, 'write');
        assert.ok(isReached, `before ${what} the device reaches ${hex(address)}`);
        take();
        if (reachesForNow(trial, device, address, 'write')) continue;
        taken++;
        assert.notEqual(device.generation, generation, `${what} took ${hex(address)} away, and the generation stayed`);
        assert.notEqual(
          device.seenGeneration,
          generation,
          `${what} took ${hex(address)} away, and seenGeneration stayed`,
        );
      }
      if (trial.revokes) assert.equal(taken, takings.length, 'unmap, release and dispose take the access away');
      else if (taken === 0) skipCheck(trial.because ?? 'the device keeps its access after unmap and release');
    },
  },
  {
    name: 'counts as leaked what the device keeps borrowed, until its reset',
    duty: 'PlatformTraits.keepsBorrowed: what the driver unmaps before the reset is a leak; DmaMapping.unmap: is withheld',
    advice: 'return false from unmapPages, give ZeroCopyDmaMapping a LeakLog, and end in reclaim what reset let go',
    run(trial) {
      const device = deviceOf(trial);
      requireRevocation(trial);
      if (trial.keepsBorrowed !== true)
        skipCheck('keepsBorrowed is not stated: unmap and release take away what was borrowed, too');
      const { mapping, memory } = trial;
      const own = memory.allocate(PAGE_SIZE, PAGE_SIZE, mapping.limits.reach);
      const mapped = mapBuffer(mapping, own, PAGE_SIZE, Bidirectional);
      const coherent = mapping.allocateCoherent(PAGE_SIZE, PAGE_SIZE);
      const kept = [mapped.address, regionAddress(coherent)];
      for (const address of kept) assert.ok(reaches(device, address, 'write'), `the device borrows ${hex(address)}`);
      mapping.unmap(mapped.id, 0);
      coherent.release();
      const { live, leaked } = mapping.statistics;
      assert.deepEqual({ live, leaked }, { live: 0, leaked: 2 }, 'before the reset, what was borrowed has leaked');
      memory.free(own);
      assertWithheld(memory, [own, coherent.address]);

      assert.ok(device.reset !== undefined, 'the address space learns of the reset, after which it keeps nothing');
      const { generation } = device;
      device.reset();
      assert.notEqual(device.generation, generation, 'a reset changes the generation: a ring is borrowed again');
      assert.notEqual(device.seenGeneration, generation, 'a reset changes seenGeneration, too');
      mapping.dispose();
      assert.equal(mapping.statistics.leaked, 0, 'after the reset nothing is leaked');
      for (const address of kept) assert.ok(!reaches(device, address, 'read'), `${hex(address)} is taken back`);
    },
  },
  {
    name: 'leads a device address that is used again to its new buffer',
    duty: 'DmaMapping.map: writes the device address of this buffer',
    advice: 'invalidate cached translations before a device address is given out again',
    run(trial) {
      const device = deviceOf(trial);
      const { mapping, memory, buffer } = trial;
      for (let i = 0; i < REUSES; i++) {
        const page = buffer + (i % 8) * PAGE_SIZE;
        memory.u8.set(pattern(64, i), page + 8);
        const { id, address } = mapBuffer(mapping, page + 8, 64, i % 3 === 0 ? ToDevice : Bidirectional);
        assert.deepEqual(deviceRead(device, address, 64), pattern(64, i), `mapping ${i} at ${hex(address)}`);
        mapping.unmap(id, 0);
      }
      assert.deepEqual(device.faults.entries, []);
    },
  },
  {
    name: 'resolves to -1 what was unmapped and released',
    duty: 'DmaMapping.resolve: -1 where the tables give none, and where a device may still use an old translation',
    advice: 'read the tables at the time of the call',
    run(trial) {
      const { mapping, buffer } = trial;
      if (mapping.resolve === undefined) skipCheck('the mapping has no resolve');
      requireRevocation(trial);
      const mapped = mapBuffer(mapping, buffer, PAGE_SIZE, Bidirectional);
      const region = mapping.premap(buffer + PAGE_SIZE, PAGE_SIZE, Bidirectional);
      const coherent = mapping.allocateCoherent(PAGE_SIZE, 16);
      const addresses = [mapped.address, regionAddress(region), regionAddress(coherent)];
      for (const address of addresses) assert.notEqual(resolveAt(mapping, address), -1, `${hex(address)} is mapped`);
      mapping.unmap(mapped.id, 0);
      region.release();
      coherent.release();
      for (const address of addresses) assert.equal(resolveAt(mapping, address), -1, `${hex(address)} was given back`);
    },
  },
  {
    name: 'records no fault of the device for a question of the driver',
    duty: 'DmaMapping.resolve: what the tables give; FaultLog: the faults of one device',
    advice: 'look addresses up with a log of their own: FaultLog.forLookups()',
    run(trial) {
      const device = deviceOf(trial);
      const { mapping, buffer } = trial;
      if (mapping.resolve === undefined) skipCheck('the mapping has no resolve');
      const { address } = mapBuffer(mapping, buffer, 64, ToDevice);
      resolveAt(mapping, address);
      assert.equal(resolveAt(mapping, 0xffff_ffff_ffff_f000n), -1, 'an address that was never given');
      assert.deepEqual(device.faults.entries, []);
    },
  },
];

function useOnce(trial: DmaMappingTrial, device: DeviceAddressSpace, address: bigint): void {
  assert.notEqual(deviceRead(device, address, 16), undefined, `the device reads ${hex(address)} while it is mapped`);
  assert.ok(reachesForNow(trial, device, address, 'write'), `the device writes ${hex(address)} while it is mapped`);
}

/** Nothing is allocated at the pages, however much is. Gives back what it allocates. */
function assertWithheld(memory: GuestMemory, pages: readonly number[]): void {
  const taken: number[] = [];
  try {
    while (memory.allocated < memory.size) taken.push(memory.allocate(PAGE_SIZE, PAGE_SIZE));
  } catch (error) {
    if (!isCodedError(error)) throw error;
  }
  for (const address of taken) memory.free(address);
  for (const page of pages) assert.ok(!taken.includes(page), `${hex(page)} leaked, and is allocated again`);
}
