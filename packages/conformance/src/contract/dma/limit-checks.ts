import assert from 'node:assert/strict';
import { inspect } from 'node:util';
import { isCodedError } from '@virtio-platform/core';
import { DMA_TOO_LARGE, DMA_UNREACHABLE, DmaDirection, isCopied, type DmaRegion } from '@virtio-platform/core/dma';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { skipCheck, type ContractCheck } from '../../contract-check.ts';
import { addressIn, hex, mapBuffer, regionAddress, UNTOUCHED, type DmaMappingTrial } from './dma-trial.ts';

const { Bidirectional, FromDevice, ToDevice } = DmaDirection;
/** Regions that a check maps at most to find out whether their number has a limit. */
const MOST_REGIONS = 4096;

/** What a mapping states about itself, and that it keeps to it. */
export const DMA_LIMIT_CHECKS: readonly ContractCheck<DmaMappingTrial>[] = [
  {
    name: 'states limits that make sense',
    duty: 'DmaLimits: addressBits, maxMappingSize, alignment, boundary and maxMappings, in bytes; Infinity for no limit',
    advice: 'state each limit as a positive number; alignment and boundary are powers of two, or boundary is Infinity',
    run({ mapping, memory }) {
      const { addressBits, maxMappingSize, alignment, boundary, maxMappings, reach, maxRegionSize } = mapping.limits;
      const { copiedFrom, minAlignMask = 0 } = mapping.limits;
      assert.ok(Number.isInteger(addressBits) && addressBits >= 1 && addressBits <= 64, `addressBits ${addressBits}`);
      assert.ok(maxMappingSize >= 1, `maxMappingSize ${maxMappingSize}`);
      assert.ok(isPowerOfTwo(alignment), `alignment ${alignment}`);
      assert.ok(boundary === Infinity || isPowerOfTwo(boundary), `boundary ${boundary}`);
      assert.ok(Number.isInteger(maxMappings) && maxMappings >= 1, `maxMappings ${maxMappings}`);
      assert.ok(reach === undefined || (reach > 0 && reach <= memory.size), `reach ${reach}`);
      assert.ok(copiedFrom === undefined || copiedFrom > 0, `copiedFrom ${copiedFrom}`);
      assert.ok(isPowerOfTwo(minAlignMask + 1), `minAlignMask ${minAlignMask}`);
      assert.ok(maxRegionSize === undefined || maxRegionSize >= PAGE_SIZE, `maxRegionSize ${maxRegionSize}`);
    },
  },
  {
    name: 'gives device addresses within its limits',
    duty: 'DmaLimits: addresses fit in addressBits, regions are aligned, no mapping crosses a multiple of boundary',
    advice: 'take device addresses from below 2^addressBits, aligned and inside of one boundary, or correct the limits',
    run({ mapping, buffer }) {
      const { addressBits, alignment, boundary, minAlignMask = 0 } = mapping.limits;
      const keepsTo = (address: bigint, length: number, what: string): void => {
        const last = address + BigInt(length - 1);
        assert.ok(last < 1n << BigInt(addressBits), `${what} at ${hex(address)} fits in ${addressBits} bits`);
        if (boundary === Infinity) return;
        const unit = BigInt(boundary);
        assert.equal(address / unit, last / unit, `${what} at ${hex(address)} crosses a multiple of ${boundary}`);
      };
      for (const [offset, length] of [
        [0, 64],
        [1, PAGE_SIZE],
        [PAGE_SIZE - 1, 2 * PAGE_SIZE],
      ] as const) {
        const { id, address } = mapBuffer(mapping, buffer + offset, length, Bidirectional);
        keepsTo(address, length, `a buffer of ${length} bytes`);
        const bits = BigInt(minAlignMask);
        assert.equal(address & bits, BigInt(buffer + offset) & bits, `${hex(address)} keeps the bits ${hex(bits)}`);
        mapping.unmap(id, 0);
      }
      for (const region of [mapping.premap(buffer, PAGE_SIZE, ToDevice), mapping.allocateCoherent(PAGE_SIZE, 16)]) {
        keepsTo(regionAddress(region), PAGE_SIZE, 'a region');
        assert.equal(
          regionAddress(region) % BigInt(Math.min(alignment, PAGE_SIZE)),
          0n,
          `the device address of a region of whole pages is a multiple of ${alignment}`,
        );
        region.release();
      }
    },
  },
  {
    name: 'maps a buffer as long as its largest mapping',
    duty: 'DmaLimits.maxMappingSize: the longest buffer that one `map` takes',
    advice: 'state the length that map really takes',
    run({ mapping, memory }) {
      const length = mapping.limits.maxMappingSize;
      if (length > memory.size / 2) skipCheck('a buffer of limits.maxMappingSize does not fit in this memory');
      const address = memory.allocate(length, PAGE_SIZE, mapping.limits.reach);
      const words = new Uint32Array(2);
      const id = mapping.map(address, length, ToDevice, words, 0);
      assert.notEqual(id, DMA_TOO_LARGE, `${length} bytes, the stated limit, are DMA_TOO_LARGE`);
      assert.notEqual(id, DMA_UNREACHABLE, `${length} bytes, the stated limit, are DMA_UNREACHABLE`);
      if (id >= 0) mapping.unmap(id, 0);
      memory.free(address);
    },
  },
  {
    name: 'refuses memory beyond its reach, and leaves the words untouched',
    duty: 'DmaLimits.reach: first guest-physical address that the device cannot reach',
    advice: 'return DMA_UNREACHABLE from map, and throw ERR_DMA_RANGE from premap, where address + length > reach',
    run({ mapping, memory }) {
      const { reach = memory.size } = mapping.limits;
      if (reach >= memory.size) skipCheck('limits.reach is all of memory');
      const words = new Uint32Array(2).fill(UNTOUCHED);
      for (const address of [reach, reach - 1]) {
        assert.equal(mapping.map(address, 2, ToDevice, words, 0), DMA_UNREACHABLE, `2 bytes at ${hex(address)}`);
        assert.throws(() => mapping.premap(address, 2, ToDevice), { code: 'ERR_DMA_RANGE' });
      }
      assert.deepEqual([...words], [UNTOUCHED, UNTOUCHED]);
    },
  },
  {
    name: 'counts the bytes that it copies, and none where it copies nothing',
    duty: 'DmaStatistics.bytesBounced; DmaPath bounced: a shared slot that the buffer is copied through',
    advice: 'count the copied bytes in map, unmap and sync, or do not call the path bounced',
    run({ mapping, buffer }) {
      const before = mapping.statistics.bytesBounced;
      const { id } = mapBuffer(mapping, buffer, 512, Bidirectional);
      mapping.unmap(id, 512);
      const copied = mapping.statistics.bytesBounced - before;
      if (isCopied(mapping, buffer, 512)) assert.ok(copied >= 512, `${copied} bytes copied on ${mapping.path}`);
      else assert.equal(copied, 0, `${copied} bytes copied on the path ${mapping.path}`);
    },
  },
  {
    name: 'gives regions that say where they are',
    duty: 'DmaRegion: address, length and direction; coherent memory is Bidirectional and in guest memory',
    advice: 'return a region with the address, length and direction that were asked for',
    run({ mapping, memory, buffer }) {
      for (const direction of [ToDevice, FromDevice, Bidirectional]) {
        const region = mapping.premap(buffer + 40, 700, direction);
        const { address, length } = region;
        assert.deepEqual(
          { address, length, direction: region.direction },
          { address: buffer + 40, length: 700, direction },
        );
        region.release();
      }
      const coherent = mapping.allocateCoherent(700, 16);
      assert.ok(memory.contains(coherent.address, 700), 'coherent memory is guest memory');
      assert.deepEqual([coherent.length, coherent.direction], [700, Bidirectional]);
      coherent.release();
    },
  },
  {
    name: 'throws ERR_DMA_EXHAUSTED when no more regions fit, leaks nothing, and recovers',
    duty: 'DmaMapping.premap: throws DmaError ERR_DMA_EXHAUSTED or ERR_DMA_RANGE',
    advice: "throw new DmaError('ERR_DMA_EXHAUSTED', ...) after undoing what the call did",
    run({ mapping, memory, buffer }) {
      const regions: DmaRegion[] = [];
      let wrong: unknown;
      while (wrong === undefined && regions.length < MOST_REGIONS) {
        const { live } = mapping.statistics;
        const { allocated } = memory;
        try {
          regions.push(mapping.premap(buffer, PAGE_SIZE, ToDevice));
        } catch (error) {
          wrong = error;
          assert.deepEqual([mapping.statistics.live, memory.allocated], [live, allocated], 'nothing is left of it');
        }
      }
      const count = regions.length;
      if (wrong !== undefined) {
        assert.ok(isCodedError(wrong) && wrong.code === 'ERR_DMA_EXHAUSTED', `region ${count + 1}: ${inspect(wrong)}`);
        assert.ok(count > 0, 'one region fits');
        regions.pop()!.release();
        regions.push(mapping.premap(buffer, PAGE_SIZE, ToDevice));
      }
      for (const region of regions) region.release();
      if (wrong === undefined) skipCheck(`${MOST_REGIONS} regions fit: no limit was met`);
    },
  },
  {
    name: 'gives the same address for the same byte, also across the low word',
    duty: 'DmaRegion.writeDeviceAddress: writes the device address of the byte at `offset`, to words[at] and words[at + 1]',
    advice: 'add the offset to both words: writeDeviceAddress of @virtio-platform/core/dma carries',
    run({ mapping, buffer }) {
      const region = mapping.premap(buffer, 2 * PAGE_SIZE, Bidirectional);
      const words = new Uint32Array(6).fill(UNTOUCHED);
      region.writeDeviceAddress(PAGE_SIZE + 1, words, 2);
      assert.deepEqual([words[0], words[1], words[4], words[5]], Array(4).fill(UNTOUCHED), 'two words are written');
      assert.equal(addressIn(words.subarray(2)), regionAddress(region) + BigInt(PAGE_SIZE + 1));
      region.release();
    },
  },
];

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && Number.isInteger(Math.log2(value));
}
