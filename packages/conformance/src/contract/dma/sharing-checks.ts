import assert from 'node:assert/strict';
import { DmaDirection } from '@virtio-platform/core/dma';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { skipCheck, type ContractCheck } from '../../contract-check.ts';
import { addressIn, pattern, regionAddress, resolveAt, type DmaMappingTrial } from './dma-trial.ts';

const { Bidirectional, FromDevice, ToDevice } = DmaDirection;

/** What a device and its driver see of each other's bytes. */
export const SHARING_CHECKS: readonly ContractCheck<DmaMappingTrial>[] = [
  {
    name: 'lets the device read what was mapped for it',
    duty: 'DmaMapping.map: gives memory to the device',
    advice: 'compare the device address that map writes with the one that the address space translates',
    run({ memory, mapping, buffer, device }) {
      if (device === undefined) skipCheck('the subject has no device side');
      memory.u8.set(pattern(PAGE_SIZE), buffer);
      const words = new Uint32Array(2);
      const id = mapping.map(buffer + 3, 777, ToDevice, words, 0);
      const seen = new Uint8Array(777);
      assert.ok(device.read(words[0]!, words[1]!, seen, 0, 777), 'the device reaches it');
      assert.deepEqual(seen, memory.u8.slice(buffer + 3, buffer + 780));
      mapping.unmap(id, 0);
      assert.equal(device.faults.count, 0);
    },
  },
  {
    name: 'brings back as many bytes as the device wrote',
    duty: 'DmaMapping.unmap: `written` is how many bytes from the start the device really wrote',
    advice: 'copy the first `written` bytes back, also with FromDevice',
    run({ memory, mapping, buffer, device }) {
      if (device === undefined) skipCheck('the subject has no device side');
      for (const direction of [FromDevice, Bidirectional]) {
        memory.u8.fill(0, buffer, buffer + PAGE_SIZE);
        const words = new Uint32Array(2);
        const id = mapping.map(buffer, 1000, direction, words, 0);
        const source = new Uint8Array(600);
        source.set(pattern(600));
        assert.ok(device.write(words[0]!, words[1]!, source, 0, 600));
        mapping.unmap(id, 600);
        assert.deepEqual(memory.u8.slice(buffer, buffer + 600), source);
        assert.ok(
          memory.u8.subarray(buffer + 600, buffer + PAGE_SIZE).every((byte) => byte === 0),
          'nothing behind it',
        );
      }
    },
  },
  {
    name: 'shares a region after a sync, and coherent memory without one',
    duty: 'DmaRegion.sync: makes the bytes visible to the other side; coherent memory needs no sync',
    advice: 'copy in both syncs of a region that copies; never copy coherent memory',
    run({ memory, mapping, buffer, device }) {
      if (device === undefined) skipCheck('the subject has no device side');
      const region = mapping.premap(buffer, 2 * PAGE_SIZE, Bidirectional);
      const coherent = mapping.allocateCoherent(PAGE_SIZE, 16);
      for (const [shared, syncs] of [
        [region, true],
        [coherent, false],
      ] as const) {
        const words = new Uint32Array(2);
        shared.writeDeviceAddress(40, words, 0);
        memory.u8.set(pattern(300), shared.address + 40);
        if (syncs) shared.syncForDevice(40, 300);
        const seen = new Uint8Array(300);
        assert.ok(device.read(words[0]!, words[1]!, seen, 0, 300));
        assert.deepEqual(seen, memory.u8.slice(shared.address + 40, shared.address + 340));
        seen.reverse();
        assert.ok(device.write(words[0]!, words[1]!, seen, 0, 300));
        if (syncs) shared.syncForCpu(40, 300);
        assert.deepEqual(memory.u8.slice(shared.address + 40, shared.address + 340), seen);
      }
      assert.equal(device.faults.count, 0);
    },
  },
  {
    name: 'resolves its device addresses to the buffer or to one copy',
    duty: 'DmaMapping.resolve: the guest-physical address that the tables give at this moment, -1 where they give none',
    advice: 'read the tables, not a note of what was mapped',
    run({ memory, mapping, buffer, device }) {
      if (mapping.resolve === undefined) skipCheck('the mapping has no resolve');
      const length = 2 * PAGE_SIZE + 5;
      const words = new Uint32Array(2);
      const id = mapping.map(buffer + 3, length, Bidirectional, words, 0);
      const region = mapping.premap(buffer + 4 * PAGE_SIZE, length, Bidirectional);
      const coherent = mapping.allocateCoherent(length, 16);
      const isCopied = mapping.path.startsWith('bounced');
      const mapped = addressIn(words);
      const premapped = regionAddress(region);
      const shared = regionAddress(coherent);
      for (const [from, address] of [
        [mapped, isCopied ? undefined : buffer + 3],
        [premapped, isCopied ? undefined : region.address],
        [shared, coherent.address],
      ] as const) {
        const start = resolveAt(mapping, from);
        assert.ok(memory.contains(start, length), `${from} leads into memory`);
        if (address !== undefined) assert.equal(start, address);
        for (const offset of [1, PAGE_SIZE - 3, PAGE_SIZE, length - 1]) {
          assert.equal(resolveAt(mapping, from + BigInt(offset)), start + offset, `offset ${offset}`);
        }
        if (device === undefined) continue;
        assert.ok(device.write(Number(from & 0xffff_ffffn), Number(from >> 32n), Uint8Array.of(0xc5), 0, 1));
        assert.equal(memory.u8[start], 0xc5, 'the device reaches the same');
      }
      assert.equal(resolveAt(mapping, 0xffff_ffff_ffff_f000n), -1, 'an address that was never given');
      mapping.unmap(id, 0);
      region.release();
      coherent.release();
    },
  },
];
