import assert from 'node:assert/strict';
import { DMA_NO_SPACE, DMA_TOO_LARGE, DMA_UNREACHABLE, DmaDirection } from '@virtio-platform/core/dma';
import { PAGE_SIZE } from '@virtio-platform/core/memory';
import { skipCheck, type ContractCheck } from '../../contract-check.ts';
import { RANGES_OUTSIDE_512, UNTOUCHED, type DmaMappingTrial } from './dma-trial.ts';

const { Bidirectional, FromDevice, ToDevice } = DmaDirection;

/** The duties of a mapping towards single buffers, and its counters. */
export const BUFFER_CHECKS: readonly ContractCheck<DmaMappingTrial>[] = [
  {
    name: 'writes a device address to the two given words and to no others',
    duty: 'DmaMapping.map: writes the device address to words[at] (low) and words[at + 1] (high)',
    advice: 'write exactly these two words, and only after the mapping succeeded',
    run({ mapping, buffer }) {
      const words = new Uint32Array(6).fill(UNTOUCHED);
      assert.ok(mapping.map(buffer, PAGE_SIZE, ToDevice, words, 2) >= 0, 'a page can be mapped');
      assert.deepEqual([words[0], words[1], words[4], words[5]], Array(4).fill(UNTOUCHED));
      assert.notDeepEqual([words[2], words[3]], [UNTOUCHED, UNTOUCHED]);
    },
  },
  {
    name: 'refuses addresses outside of memory, and leaves the words untouched',
    duty: 'DMA_UNREACHABLE: outside guest memory; map: on failure `words` is untouched',
    advice: 'compare address + length with the size of guest memory before anything else',
    run({ memory, mapping }) {
      const words = new Uint32Array(2).fill(UNTOUCHED);
      const before = mapping.statistics;
      for (const [address, length] of [
        [memory.size, 1],
        [memory.size - 1, 2],
        [-1, 1],
        [2 ** 52, 16],
      ] as const) {
        assert.equal(
          mapping.map(address, length, ToDevice, words, 0),
          DMA_UNREACHABLE,
          `${length} bytes at ${address}`,
        );
      }
      assert.deepEqual([...words], [UNTOUCHED, UNTOUCHED]);
      assert.deepEqual(mapping.statistics, before);
    },
  },
  {
    name: 'refuses a buffer beyond its largest mapping, and leaves the words untouched',
    duty: 'DMA_TOO_LARGE: the buffer is longer than limits.maxMappingSize',
    advice: 'state the limit that map keeps, and return DMA_TOO_LARGE beyond it',
    run({ memory, mapping }) {
      const length = mapping.limits.maxMappingSize + 1;
      if (length > memory.size - 2 * PAGE_SIZE) skipCheck('no buffer in memory is longer than limits.maxMappingSize');
      const words = new Uint32Array(2).fill(UNTOUCHED);
      assert.equal(mapping.map(PAGE_SIZE, length, ToDevice, words, 0), DMA_TOO_LARGE);
      assert.deepEqual([...words], [UNTOUCHED, UNTOUCHED]);
    },
  },
  {
    name: 'gives every mapping an id of its own that can be unmapped once',
    duty: 'DmaMapping.map: returns a single-use id',
    advice: 'put a generation into the id, as MappingTable of @virtio-platform/core/dma does',
    run({ mapping, buffer }) {
      const words = new Uint32Array(2);
      const seen = new Set<number>();
      for (let i = 0; i < 64; i++) {
        const id = mapping.map(buffer, 512, ToDevice, words, 0);
        assert.ok(id >= 0 && !seen.has(id), `id ${id} is new`);
        seen.add(id);
        mapping.unmap(id, 0);
      }
      for (const id of seen) assert.throws(() => mapping.unmap(id, 0), RangeError, `id ${id} was used`);
    },
  },
  {
    name: 'throws RangeError for an id that is not live',
    duty: 'DmaMapping.unmap and sync: throw RangeError for an id that is not live',
    advice: 'look the id up in a table of live mappings first: MappingTable.slotOf',
    run({ mapping, buffer }) {
      const id = mapping.map(buffer, 512, ToDevice, new Uint32Array(2), 0);
      mapping.unmap(id, 0);
      for (const dead of [id, -1, id + 1, 0x7fff_ffff, NaN]) {
        assert.throws(() => mapping.unmap(dead, 0), RangeError, `unmap ${dead}`);
        assert.throws(() => mapping.syncForCpu(dead, 0, 1), RangeError, `syncForCpu ${dead}`);
        assert.throws(() => mapping.syncForDevice(dead, 0, 1), RangeError, `syncForDevice ${dead}`);
      }
    },
  },
  {
    name: 'counts maps, unmaps and live mappings, and a region as one',
    duty: 'DmaStatistics: regions count as one mapping each; live are those not unmapped or released',
    advice: 'count in map and unmap, and once for each region in premap, allocateCoherent and release',
    run({ mapping, buffer }) {
      const start = mapping.statistics;
      const changed = (): number[] => {
        const { maps, unmaps, live } = mapping.statistics;
        return [maps - start.maps, unmaps - start.unmaps, live - start.live];
      };
      const id = mapping.map(buffer, 512, ToDevice, new Uint32Array(2), 0);
      assert.deepEqual(changed(), [1, 0, 1], 'after map');
      const region = mapping.premap(buffer + PAGE_SIZE, PAGE_SIZE, FromDevice);
      assert.deepEqual(changed(), [2, 0, 2], 'after premap');
      const coherent = mapping.allocateCoherent(PAGE_SIZE, 16);
      assert.deepEqual(changed(), [3, 0, 3], 'after allocateCoherent');
      mapping.unmap(id, 0);
      region.release();
      coherent.release();
      assert.deepEqual(changed(), [3, 3, 0], 'after unmap and release');
    },
  },
  {
    name: 'syncs parts of a mapping and of a region, and touches no memory beside them',
    duty: 'DmaMapping.syncForCpu: makes what the device wrote to part of a live mapping visible',
    advice: 'copy only `length` bytes from `offset` on',
    run({ memory, mapping, buffer }) {
      memory.u8.fill(7, buffer, buffer + 3 * PAGE_SIZE);
      const id = mapping.map(buffer + PAGE_SIZE, 512, Bidirectional, new Uint32Array(2), 0);
      const region = mapping.premap(buffer + PAGE_SIZE, 512, Bidirectional);
      for (const [offset, length] of [
        [0, 512],
        [100, 12],
        [512, 0],
      ] as const) {
        mapping.syncForDevice(id, offset, length);
        mapping.syncForCpu(id, offset, length);
        region.syncForDevice(offset, length);
        region.syncForCpu(offset, length);
      }
      mapping.unmap(id, 512);
      region.release();
      assert.ok(memory.u8.subarray(buffer, buffer + 3 * PAGE_SIZE).every((byte) => byte === 7));
    },
  },
  {
    name: 'throws RangeError for a sync outside of a mapping, and touches no memory',
    duty: 'DmaMapping.syncForCpu: throws RangeError for bytes outside of the mapping',
    advice: 'call checkSyncRange of @virtio-platform/core/dma in both syncs',
    run({ memory, mapping, buffer }) {
      memory.u8.fill(7, buffer, buffer + 3 * PAGE_SIZE);
      const id = mapping.map(buffer + PAGE_SIZE, 512, Bidirectional, new Uint32Array(2), 0);
      for (const [offset, length] of RANGES_OUTSIDE_512) {
        const range = `${offset}, ${length}`;
        assert.throws(() => mapping.syncForCpu(id, offset, length), RangeError, `syncForCpu ${range}`);
        assert.throws(() => mapping.syncForDevice(id, offset, length), RangeError, `syncForDevice ${range}`);
      }
      mapping.unmap(id, 512);
      assert.ok(memory.u8.subarray(buffer, buffer + 3 * PAGE_SIZE).every((byte) => byte === 7));
    },
  },
  {
    name: 'leaves a buffer unchanged when the device wrote nothing',
    duty: 'DmaMapping.unmap: a mapping that copies brings back exactly the written bytes',
    advice: 'copy `written` bytes and no more',
    run({ memory, mapping, buffer }) {
      memory.u8.fill(9, buffer, buffer + PAGE_SIZE);
      for (const direction of [ToDevice, FromDevice, Bidirectional]) {
        mapping.unmap(mapping.map(buffer, PAGE_SIZE, direction, new Uint32Array(2), 0), 0);
      }
      assert.ok(memory.u8.subarray(buffer, buffer + PAGE_SIZE).every((byte) => byte === 9));
    },
  },
  {
    name: 'returns DMA_NO_SPACE when it is full, leaves the words untouched, leaks nothing, and recovers',
    duty: 'DMA_NO_SPACE: the same call can succeed after an unmap; on failure `words` is untouched',
    advice: 'undo every step of a map that fails, and count nothing',
    run({ memory, mapping, buffer }) {
      const ids: number[] = [];
      const words = new Uint32Array(2);
      for (let id = 0; id >= 0 && ids.length <= mapping.limits.maxMappings;) {
        words.fill(UNTOUCHED);
        id = mapping.map(buffer, 512, ToDevice, words, 0);
        if (id >= 0) ids.push(id);
        else assert.equal(id, DMA_NO_SPACE);
      }
      assert.ok(ids.length >= 1 && ids.length <= mapping.limits.maxMappings, `${ids.length} mappings fit`);
      assert.deepEqual([...words], [UNTOUCHED, UNTOUCHED]);
      const full = mapping.statistics;
      const { allocated } = memory;
      assert.equal(mapping.map(buffer, 512, ToDevice, words, 0), DMA_NO_SPACE);
      assert.deepEqual(mapping.statistics, full);
      assert.equal(memory.allocated, allocated, 'a map that fails keeps no memory');
      mapping.unmap(ids.pop()!, 0);
      ids.push(mapping.map(buffer, 512, ToDevice, words, 0));
      assert.ok(ids.at(-1)! >= 0, 'the same call succeeds after an unmap');
      for (const id of ids) mapping.unmap(id, 0);
    },
  },
  {
    name: 'unmaps and frees everything when it is disposed with live mappings and regions',
    duty: 'DmaMapping.dispose: unmaps and releases everything that is still live',
    advice: 'go through the live ids and regions in dispose',
    run({ mapping, buffer }) {
      mapping.map(buffer, 512, FromDevice, new Uint32Array(2), 0);
      mapping.map(buffer, 512, ToDevice, new Uint32Array(2), 0);
      mapping.premap(buffer + PAGE_SIZE, PAGE_SIZE, ToDevice);
      mapping.allocateCoherent(PAGE_SIZE, 16);
    },
  },
];
