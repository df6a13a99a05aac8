import assert from 'node:assert/strict';
import { DmaDirection } from '@virtio-platform/core/dma';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { type ContractCheck } from '../../contract-check.ts';
import { RANGES_OUTSIDE_512, regionAddress, type DmaMappingTrial } from './dma-trial.ts';

const { Bidirectional, ToDevice } = DmaDirection;

/** The duties of a mapping towards regions and coherent memory. */
export const REGION_CHECKS: readonly ContractCheck<DmaMappingTrial>[] = [
  {
    name: 'throws RangeError for a sync outside of a region, and touches no memory',
    duty: 'DmaRegion.syncForDevice: throws RangeError for bytes outside of the region',
    advice: 'call checkSyncRange of @virtio-platform/core/dma in both syncs',
    run({ memory, mapping, buffer }) {
      memory.u8.fill(7, buffer, buffer + 3 * PAGE_SIZE);
      const premapped = mapping.premap(buffer + PAGE_SIZE, 512, Bidirectional);
      const coherent = mapping.allocateCoherent(512, 16);
      for (const region of [premapped, coherent]) {
        for (const [offset, length] of RANGES_OUTSIDE_512) {
          const range = `${offset}, ${length}`;
          assert.throws(() => region.syncForCpu(offset, length), RangeError, `syncForCpu ${range}`);
          assert.throws(() => region.syncForDevice(offset, length), RangeError, `syncForDevice ${range}`);
        }
        region.release();
      }
      assert.ok(memory.u8.subarray(buffer, buffer + 3 * PAGE_SIZE).every((byte) => byte === 7));
    },
  },
  {
    name: 'premaps a region that is contiguous for the device',
    duty: 'DmaMapping.premap: maps a region once for many requests, contiguous for the device',
    advice: 'give the region one run of device addresses; writeDeviceAddress adds the offset, carry included',
    run({ mapping, buffer }) {
      const length = 5 * PAGE_SIZE + 123;
      const region = mapping.premap(buffer, length, Bidirectional);
      const start = regionAddress(region);
      for (const offset of [1, 511, PAGE_SIZE - 1, PAGE_SIZE, 3 * PAGE_SIZE + 5, length - 1]) {
        const address = regionAddress(region, offset);
        assert.equal(address - start, BigInt(offset), `offset ${offset}`);
      }
      assert.equal(region.length, length);
      region.release();
    },
  },
  {
    name: 'throws ERR_DMA_RANGE for a region outside memory',
    duty: 'DmaMapping.premap: throws DmaError ERR_DMA_RANGE',
    advice: "check the range first, and throw new DmaError('ERR_DMA_RANGE', ...)",
    run({ memory, mapping }) {
      for (const [address, length] of [
        [memory.size, 1],
        [memory.size - 1, 2],
        [PAGE_SIZE, 0],
        [-1, 2],
      ] as const) {
        assert.throws(() => mapping.premap(address, length, ToDevice), { code: 'ERR_DMA_RANGE' });
      }
    },
  },
  {
    name: 'throws RangeError when a region is released twice',
    duty: 'DmaRegion.release: throws RangeError when it was already released',
    advice: 'throw regionReleasedError() of @virtio-platform/core/dma',
    run({ mapping, buffer }) {
      for (const region of [mapping.premap(buffer, PAGE_SIZE, ToDevice), mapping.allocateCoherent(64, 16)]) {
        region.release();
        assert.throws(() => region.release(), { name: 'RangeError', message: 'this DMA region was already released' });
      }
    },
  },
  {
    name: 'allocates coherent memory zeroed, aligned on both sides and contiguous for the device',
    duty: 'DmaMapping.allocateCoherent: zeroed memory; `alignment` holds for both addresses',
    advice: 'align the device address as well as the guest address, and zero the memory',
    run({ memory, mapping }) {
      const dirty = memory.allocate(8 * PAGE_SIZE);
      memory.u8.fill(0xff, dirty, dirty + 8 * PAGE_SIZE);
      memory.free(dirty);
      for (const alignment of [2, 16, 512, PAGE_SIZE]) {
        const length = 3 * alignment + 6;
        const region = mapping.allocateCoherent(length, alignment);
        const address = regionAddress(region);
        const last = regionAddress(region, length - 1);
        assert.equal(region.address % alignment, 0, `guest address, alignment ${alignment}`);
        assert.equal(address % BigInt(alignment), 0n, `device address, alignment ${alignment}`);
        assert.equal(last - address, BigInt(length - 1));
        assert.ok(memory.contains(region.address, length));
        assert.ok(
          memory.u8.subarray(region.address, region.address + length).every((byte) => byte === 0),
          'zeroed',
        );
      }
    },
  },
  {
    name: 'throws ERR_DMA_EXHAUSTED when no memory is left for coherent memory, and recovers',
    duty: 'DmaMapping.allocateCoherent: throws DmaError ERR_DMA_EXHAUSTED',
    advice: 'let the DmaError of GuestMemory.allocate pass, and undo what was mapped',
    run({ memory, mapping }) {
      const before = mapping.statistics.live;
      assert.throws(() => mapping.allocateCoherent(memory.size, 16), { code: 'ERR_DMA_EXHAUSTED' });
      assert.equal(mapping.statistics.live, before);
      mapping.allocateCoherent(PAGE_SIZE, 16).release();
    },
  },
];
