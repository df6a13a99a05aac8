import assert from 'node:assert/strict';
import type { DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DMA_NO_SPACE, DMA_UNREACHABLE, DmaDirection, type DmaMapping } from '@virtio-platform/core/dma';
import { PAGE_SIZE, type GuestMemory } from '@virtio-platform/core/memory';
import { describeContract, type ContractCheck } from './contract-check.ts';

/** A mapping to check, fresh for each check, in guest memory from which only its set-up allocated. */
export interface DmaMappingSubject {
  readonly memory: GuestMemory;
  readonly mapping: DmaMapping;
  /** The device's view through the mapping; `undefined` where there is no device side. */
  readonly device?: DeviceAddressSpace | undefined;
  /** Whether `unmap` takes the device's access away: false for physical addresses, a fixed window or a bounce pool. */
  readonly revokes: boolean;
  /** Disposes what the set-up made around the mapping. Called once, after `mapping.dispose()`. */
  dispose(): void;
}

/** A subject, with {@link BUFFER_PAGES} pages of zeroed guest memory to map. */
export interface DmaMappingTrial extends DmaMappingSubject {
  /** Guest-physical address of the pages. */
  readonly buffer: number;
}

const BUFFER_PAGES = 8;
/** A word value that no mapping writes by chance: it shows that a word was not written. */
const UNTOUCHED = 0xa5a5_5a5a;
const { Bidirectional, FromDevice, ToDevice } = DmaDirection;

/** Offset and length of syncs outside of a mapping of 512 bytes: behind the end, negative, and not whole bytes. */
const RANGES_OUTSIDE_512: readonly (readonly [offset: number, length: number])[] = [
  [0, 513],
  [512, 1],
  [4096, 4096],
  [-1, 4],
  [4, -1],
  [0.5, 4],
  [0, 4.5],
  [NaN, 4],
  [0, NaN],
];

/** The promises of the `DmaMapping` contract, one check each. */
export const DMA_MAPPING_CHECKS: readonly ContractCheck<DmaMappingTrial>[] = [
  {
    name: 'writes a device address to the two given words and to no others',
    run({ mapping, buffer }) {
      const words = new Uint32Array(6).fill(UNTOUCHED);
      assert.ok(mapping.map(buffer, PAGE_SIZE, ToDevice, words, 2) >= 0, 'a page can be mapped');
      assert.deepEqual([words[0], words[1], words[4], words[5]], Array(4).fill(UNTOUCHED));
      assert.notDeepEqual([words[2], words[3]], [UNTOUCHED, UNTOUCHED]);
    },
  },
  {
    name: 'refuses addresses outside of memory, and leaves the words untouched',
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
    run({ memory, mapping }) {
      const length = mapping.limits.maxMappingSize + 1;
      if (length > memory.size - 2 * PAGE_SIZE) return;
      const words = new Uint32Array(2).fill(UNTOUCHED);
      assert.ok(mapping.map(PAGE_SIZE, length, ToDevice, words, 0) < 0);
      assert.deepEqual([...words], [UNTOUCHED, UNTOUCHED]);
    },
  },
  {
    name: 'gives every mapping an id of its own that can be unmapped once',
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
    name: 'throws RangeError for a sync outside of a region, and touches no memory',
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
    name: 'leaves a buffer unchanged when the device wrote nothing',
    run({ memory, mapping, buffer }) {
      memory.u8.fill(9, buffer, buffer + PAGE_SIZE);
      for (const direction of [ToDevice, FromDevice, Bidirectional]) {
        mapping.unmap(mapping.map(buffer, PAGE_SIZE, direction, new Uint32Array(2), 0), 0);
      }
      assert.ok(memory.u8.subarray(buffer, buffer + PAGE_SIZE).every((byte) => byte === 9));
    },
  },
  {
    name: 'premaps a region that is contiguous for the device',
    run({ mapping, buffer }) {
      const length = 5 * PAGE_SIZE + 123;
      const region = mapping.premap(buffer, length, Bidirectional);
      const start = deviceAddress((words) => region.writeDeviceAddress(0, words, 0));
      for (const offset of [1, 511, PAGE_SIZE - 1, PAGE_SIZE, 3 * PAGE_SIZE + 5, length - 1]) {
        const address = deviceAddress((words) => region.writeDeviceAddress(offset, words, 0));
        assert.equal(address - start, BigInt(offset), `offset ${offset}`);
      }
      assert.equal(region.length, length);
      region.release();
    },
  },
  {
    name: 'throws ERR_DMA_RANGE for a region outside memory',
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
    run({ mapping, buffer }) {
      for (const region of [mapping.premap(buffer, PAGE_SIZE, ToDevice), mapping.allocateCoherent(64, 16)]) {
        region.release();
        assert.throws(() => region.release(), { name: 'RangeError', message: 'this DMA region was already released' });
      }
    },
  },
  {
    name: 'allocates coherent memory zeroed, aligned on both sides and contiguous for the device',
    run({ memory, mapping }) {
      const dirty = memory.allocate(8 * PAGE_SIZE);
      memory.u8.fill(0xff, dirty, dirty + 8 * PAGE_SIZE);
      memory.free(dirty);
      for (const alignment of [2, 16, 512, PAGE_SIZE]) {
        const length = 3 * alignment + 6;
        const region = mapping.allocateCoherent(length, alignment);
        const address = deviceAddress((words) => region.writeDeviceAddress(0, words, 0));
        const last = deviceAddress((words) => region.writeDeviceAddress(length - 1, words, 0));
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
    name: 'returns DMA_NO_SPACE when it is full, leaves the words untouched, leaks nothing, and recovers',
    run({ mapping, buffer }) {
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
      assert.equal(mapping.map(buffer, 512, ToDevice, words, 0), DMA_NO_SPACE);
      assert.deepEqual(mapping.statistics, full);
      mapping.unmap(ids.pop()!, 0);
      ids.push(mapping.map(buffer, 512, ToDevice, words, 0));
      assert.ok(ids.at(-1)! >= 0, 'the same call succeeds after an unmap');
      for (const id of ids) mapping.unmap(id, 0);
    },
  },
  {
    name: 'throws ERR_DMA_EXHAUSTED when no memory is left for coherent memory, and recovers',
    run({ memory, mapping }) {
      const before = mapping.statistics.live;
      assert.throws(() => mapping.allocateCoherent(memory.size, 16), { code: 'ERR_DMA_EXHAUSTED' });
      assert.equal(mapping.statistics.live, before);
      mapping.allocateCoherent(PAGE_SIZE, 16).release();
    },
  },
  {
    name: 'lets the device read what was mapped for it',
    run({ memory, mapping, buffer, device }) {
      if (device === undefined) return;
      fillPattern(memory.u8, buffer, PAGE_SIZE);
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
    run({ memory, mapping, buffer, device }) {
      if (device === undefined) return;
      for (const direction of [FromDevice, Bidirectional]) {
        memory.u8.fill(0, buffer, buffer + PAGE_SIZE);
        const words = new Uint32Array(2);
        const id = mapping.map(buffer, 1000, direction, words, 0);
        const source = new Uint8Array(600);
        fillPattern(source, 0, 600);
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
    run({ memory, mapping, buffer, device }) {
      if (device === undefined) return;
      const region = mapping.premap(buffer, 2 * PAGE_SIZE, Bidirectional);
      const coherent = mapping.allocateCoherent(PAGE_SIZE, 16);
      for (const [shared, syncs] of [
        [region, true],
        [coherent, false],
      ] as const) {
        const words = new Uint32Array(2);
        shared.writeDeviceAddress(40, words, 0);
        fillPattern(memory.u8, shared.address + 40, 300);
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
    name: 'takes the access of the device away with unmap and release, where the subject says so',
    run({ memory, mapping, buffer, device, revokes }) {
      if (device === undefined || !revokes) return;
      memory.u8.fill(3, buffer, buffer + 2 * PAGE_SIZE);
      const words = new Uint32Array(4);
      const id = mapping.map(buffer, PAGE_SIZE, Bidirectional, words, 0);
      const region = mapping.premap(buffer + PAGE_SIZE, PAGE_SIZE, Bidirectional);
      region.writeDeviceAddress(0, words, 2);
      mapping.unmap(id, 0);
      region.release();
      for (const at of [0, 2]) {
        const faults: number = device.faults.count;
        assert.equal(device.write(words[at]!, words[at + 1]!, new Uint8Array(16), 0, 16), false);
        assert.equal(device.read(words[at]!, words[at + 1]!, new Uint8Array(16), 0, 16), false);
        assert.equal(device.faults.count, faults + 2);
      }
      assert.ok(memory.u8.subarray(buffer, buffer + 2 * PAGE_SIZE).every((byte) => byte === 3));
    },
  },
  {
    name: 'resolves its device addresses to the buffer or to one copy, and to -1 after unmap and release',
    run({ memory, mapping, buffer, device, revokes }) {
      if (mapping.resolve === undefined) return;
      const length = 2 * PAGE_SIZE + 5;
      const words = new Uint32Array(2);
      const id = mapping.map(buffer + 3, length, Bidirectional, words, 0);
      const region = mapping.premap(buffer + 4 * PAGE_SIZE, length, Bidirectional);
      const coherent = mapping.allocateCoherent(length, 16);
      const isCopied = mapping.path.startsWith('bounced');
      const mapped = addressIn(words);
      const premapped = deviceAddress((target) => region.writeDeviceAddress(0, target, 0));
      const shared = deviceAddress((target) => coherent.writeDeviceAddress(0, target, 0));
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
      if (!revokes) return;
      for (const from of [mapped, premapped, shared])
        assert.equal(resolveAt(mapping, from), -1, 'after unmap and release');
    },
  },
  {
    name: 'unmaps and frees everything when it is disposed with live mappings and regions',
    run({ mapping, buffer }) {
      mapping.map(buffer, 512, FromDevice, new Uint32Array(2), 0);
      mapping.map(buffer, 512, ToDevice, new Uint32Array(2), 0);
      mapping.premap(buffer + PAGE_SIZE, PAGE_SIZE, ToDevice);
      mapping.allocateCoherent(PAGE_SIZE, 16);
    },
  },
];

/** Runs one check and then disposes the subject. Every check includes that nothing stays live or allocated. */
export async function checkDmaMapping(
  check: ContractCheck<DmaMappingTrial>,
  subject: DmaMappingSubject,
): Promise<void> {
  const { memory, mapping } = subject;
  const buffer = memory.allocate(BUFFER_PAGES * PAGE_SIZE);
  try {
    await check.run({ ...subject, buffer });
  } finally {
    mapping.dispose();
    memory.free(buffer);
    subject.dispose();
  }
  assert.equal(mapping.statistics.live, 0, 'nothing is live after dispose');
  assert.equal(memory.allocated, 0, 'no memory is allocated after dispose');
}

/** Checks a mapping against the whole contract; `setup` makes a fresh subject for each check. */
export function describeDmaMapping(
  name: string,
  subject: { setup(): DmaMappingSubject | Promise<DmaMappingSubject> },
): void {
  describeContract(`${name} as a DmaMapping`, DMA_MAPPING_CHECKS, async (check) => {
    await checkDmaMapping(check, await subject.setup());
  });
}

function deviceAddress(write: (words: Uint32Array) => void): bigint {
  const words = new Uint32Array(2);
  write(words);
  return addressIn(words);
}

function addressIn(words: Uint32Array): bigint {
  return (BigInt(words[1]!) << 32n) | BigInt(words[0]!);
}

function resolveAt(mapping: DmaMapping, address: bigint): number {
  return mapping.resolve!(Number(address & 0xffff_ffffn), Number(address >> 32n));
}

function fillPattern(target: Uint8Array, at: number, length: number): void {
  for (let i = 0; i < length; i++) target[at + i] = (i * 7 + (i >> 8)) & 0xff;
}
