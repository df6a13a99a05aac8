import assert from 'node:assert/strict';
import { FaultLog } from '@virtio-platform/core/address-space';
import { DmaDirection } from '@virtio-platform/core/dma';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import type { ContractCheck } from '../../contract-check.ts';
import { deviceRead, hex, mapBuffer, pattern, reaches } from '../dma/dma-trial.ts';
import { MAPPING_CAPACITY, openSubject, type PlatformPluginSubject } from './platform-subject.ts';
import { SpaceThread } from './space-thread.ts';

/** The duties of the blueprint of an address space. */
export const THREAD_CHECKS: readonly ContractCheck<PlatformPluginSubject>[] = [
  {
    name: 'opens the same address space twice',
    duty: 'AddressSpaceBlueprint.open: opens the address space of a device; AddressSpaceBlueprint.state is cloneable',
    advice: 'keep the tables in SharedArrayBuffers of `state`, and open every address space from `state` alone',
    async run(subject) {
      const opened = await openSubject(subject);
      const { hardware, memory, space, openMapping } = opened;
      const blueprint = hardware.addressSpace(true);
      const faults = new FaultLog();
      const other = blueprint.open(memory, faults, blueprint.state);
      assert.equal(other.faults, faults, 'the address space records in the fault log that it is given');
      assert.equal(other.memory, memory, 'the address space is over the memory that it is given');
      assert.equal(space.faults, opened.faults, 'each address space has a fault log of its own');
      const mapping = openMapping(0, MAPPING_CAPACITY);
      const buffer = memory.allocate(PAGE_SIZE);
      memory.u8.set(pattern(64), buffer);
      const { id, address } = mapBuffer(mapping, buffer, 64, DmaDirection.Bidirectional);
      assert.deepEqual(deviceRead(space, address, 64), pattern(64), 'from cloned state, before the mapping');
      assert.deepEqual(deviceRead(other, address, 64), pattern(64), 'from the state itself');
      mapping.unmap(id, 0);
      mapping.dispose();
      opened.dispose();
    },
  },
  {
    name: 'shows a device in another thread the same memory',
    duty: 'AddressSpaceBlueprint.module: URL of a module that exports openAddressSpace, which another thread imports',
    advice: 'set module to import.meta.url of the file that exports openAddressSpace, and share the tables in `state`',
    async run(subject) {
      const opened = await openSubject(subject);
      const { hardware, memory, space, openMapping } = opened;
      const thread = await SpaceThread.open(hardware.addressSpace(true), memory);
      const mapping = openMapping(0, MAPPING_CAPACITY);
      try {
        const buffer = memory.allocate(PAGE_SIZE);
        memory.u8.set(pattern(700), buffer + 9);
        const { id, address } = mapBuffer(mapping, buffer + 9, 700, DmaDirection.Bidirectional);
        const first = await thread.read(address, 700);
        assert.ok(first.isTaken, `the device's thread reads ${hex(address)}, which is mapped`);
        assert.deepEqual(first.bytes, pattern(700), 'what it reads');
        assert.ok((await thread.write(address, pattern(700, 5))).isTaken, 'it writes what is mapped');
        mapping.unmap(id, 700);
        assert.deepEqual(memory.u8.slice(buffer + 9, buffer + 709), pattern(700, 5), 'what it wrote comes back');
        const isKept = reaches(space, address, 'read');
        const after = await thread.read(address, 700);
        assert.equal(after.isTaken, isKept, 'after unmap it reaches what a device in the same thread does');
        assert.equal(after.generation, space.generation, 'its generation is that of the same thread');
        const { isTaken, faults } = await thread.read(0xffff_ffff_ffff_f000n, 16);
        assert.ok(!isTaken && faults > 0, 'an address that was never given is a fault there, too');
        memory.free(buffer);
      } finally {
        await thread.end();
        mapping.dispose();
        opened.dispose();
      }
    },
  },
];
