import {
  BOUNCE_SLOT_SIZE,
  BouncedDmaMapping,
  BouncePools,
  DirectDmaMapping,
  DMA_NO_SPACE,
  DMA_TOO_LARGE,
  DmaDirection,
  type DmaRegion,
} from '@virtio-platform/core/dma';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';

const { Bidirectional, FromDevice, ToDevice } = DmaDirection;
const POOL_BYTES = 256 * 1024;

interface SetUp {
  readonly memory: GuestMemory;
  readonly mapping: BouncedDmaMapping;
  readonly pools: BouncePools;
  readonly region: DmaRegion;
  readonly buffer: number;
}

/** A mapping over its own pool; device addresses are physical, so the slot of a buffer is where its words say. */
function setUp(capacity = 8): SetUp {
  const memory = new GuestMemory(new ArrayBuffer(1024 * 1024));
  const inner = new DirectDmaMapping(memory, { path: 'identity', capacity });
  const region = inner.allocateCoherent(POOL_BYTES, PAGE_SIZE);
  const pools = new BouncePools({ bytes: POOL_BYTES }, () => region);
  const mapping = new BouncedDmaMapping(memory, pools, inner, capacity);
  return { memory, mapping, pools, region, buffer: memory.allocate(PAGE_SIZE) };
}

function map({ mapping, buffer }: SetUp, length: number, direction: DmaDirection): { id: number; slot: number } {
  const words = new Uint32Array(2);
  return { id: mapping.map(buffer, length, direction, words, 0), slot: words[0]! };
}

describe('BouncedDmaMapping', () => {
  it.each([ToDevice, FromDevice, Bidirectional])(
    'fills the slot on map, also for direction %d (CVE-2022-0854)',
    (direction) => {
      const set = setUp();
      set.memory.u8.fill(0x77, set.region.address, set.region.address + POOL_BYTES);
      set.memory.u8.fill(0x11, set.buffer, set.buffer + 100);
      const { slot } = map(set, 100, direction);
      expect(slot).toBe(set.region.address);
      expect(set.memory.u8.subarray(slot, slot + 100).every((byte) => byte === 0x11)).toBe(true);
      expect(set.memory.u8[slot + 100]).toBe(0x77);
    },
  );

  it('copies back what was written and not a byte more', () => {
    const set = setUp();
    const { id, slot } = map(set, 100, FromDevice);
    set.memory.u8.fill(0xaa, slot, slot + 100);
    set.mapping.unmap(id, 60);
    expect(set.memory.u8.subarray(set.buffer, set.buffer + 60).every((byte) => byte === 0xaa)).toBe(true);
    expect(set.memory.u8.subarray(set.buffer + 60, set.buffer + PAGE_SIZE).every((byte) => byte === 0)).toBe(true);
  });

  it('cuts a written count beyond the buffer to the buffer', () => {
    const set = setUp();
    const { id, slot } = map(set, 100, FromDevice);
    set.memory.u8.fill(0xaa, slot, slot + BOUNCE_SLOT_SIZE);
    set.mapping.unmap(id, 5000);
    expect(set.memory.u8[set.buffer + 99]).toBe(0xaa);
    expect(set.memory.u8[set.buffer + 100]).toBe(0);
  });

  it('brings nothing back into a buffer that the device only reads', () => {
    const set = setUp();
    const { id, slot } = map(set, 100, ToDevice);
    set.memory.u8.fill(0xaa, slot, slot + 100);
    set.mapping.syncForCpu(id, 0, 100);
    set.mapping.unmap(id, 100);
    expect(set.memory.u8[set.buffer]).toBe(0);
  });

  it('syncs the given range in the given direction only', () => {
    const set = setUp();
    const { id, slot } = map(set, 100, Bidirectional);
    set.memory.u8.fill(0xbb, slot, slot + 100);
    set.mapping.syncForCpu(id, 10, 5);
    expect([...set.memory.u8.subarray(set.buffer + 9, set.buffer + 16)]).toEqual([0, 0xbb, 0xbb, 0xbb, 0xbb, 0xbb, 0]);
    set.memory.u8.fill(0xcc, set.buffer, set.buffer + 100);
    set.mapping.syncForDevice(id, 20, 1);
    expect([...set.memory.u8.subarray(slot + 19, slot + 22)]).toEqual([0xbb, 0xcc, 0xbb]);
    expect(() => set.mapping.syncForCpu(id, 99, 2)).toThrow(RangeError);
    expect(() => set.mapping.syncForDevice(id, -1, 2)).toThrow(RangeError);
  });

  it('does not show the device what the driver writes to a buffer that only the device writes', () => {
    const set = setUp();
    const { id, slot } = map(set, 100, FromDevice);
    set.memory.u8.fill(0xcc, set.buffer, set.buffer + 100);
    set.mapping.syncForDevice(id, 0, 100);
    expect(set.memory.u8[slot]).toBe(0);
  });

  it('M2 runs out of slots or of ids with a reason to retry, and leaves nothing behind', () => {
    for (const capacity of [4, 1000]) {
      const set = setUp(capacity);
      const ids: number[] = [];
      for (let id = 0; id >= 0;) {
        id = map(set, BOUNCE_SLOT_SIZE, ToDevice).id;
        if (id >= 0) ids.push(id);
        else expect(id).toBe(DMA_NO_SPACE);
      }
      expect(ids).toHaveLength(Math.min(capacity, 128));
      const { used } = set.pools.statistics;
      const words = new Uint32Array([7, 7]);
      expect(set.mapping.map(set.buffer, 1, ToDevice, words, 0)).toBe(DMA_NO_SPACE);
      expect(set.pools.statistics.used).toBe(used);
      expect([...words]).toEqual([7, 7]);
      for (const id of ids) set.mapping.unmap(id, 0);
      expect(set.pools.statistics.used).toBe(0);
      expect(map(set, 1, ToDevice).id).toBeGreaterThanOrEqual(0);
    }
  });

  it('M3 refuses more than 256 KiB as too large', () => {
    const set = setUp();
    expect(set.mapping.limits.maxMappingSize).toBe(256 * 1024);
    expect(set.mapping.map(0, 256 * 1024 + 1, ToDevice, new Uint32Array(2), 0)).toBe(DMA_TOO_LARGE);
  });

  it('M8 throws for a mapping that was already given back, and leaves the next owner of its slot alone', () => {
    const set = setUp(1);
    const { id } = map(set, 100, FromDevice);
    set.mapping.unmap(id, 0);
    const next = map(set, 100, FromDevice);
    expect(() => set.mapping.unmap(id, 100)).toThrow(RangeError);
    set.mapping.unmap(next.id, 0);
  });

  it('counts the bytes it copies', () => {
    const set = setUp();
    const { id } = map(set, 100, FromDevice);
    set.mapping.unmap(id, 40);
    expect(set.mapping.statistics.bytesBounced).toBe(140);
  });

  it.each([
    ['identity', 'bounced'],
    ['linear', 'bounced+linear'],
  ] as const)('names its path over %s', (path, bounced) => {
    const memory = new GuestMemory(new ArrayBuffer(1024 * 1024));
    const inner = new DirectDmaMapping(memory, { path, capacity: 1 });
    const pools = new BouncePools({ bytes: POOL_BYTES }, (bytes) => inner.allocateCoherent(bytes, PAGE_SIZE));
    expect(new BouncedDmaMapping(memory, pools, inner, 1).path).toBe(bounced);
  });
});
