import { describeDmaMapping } from '@virtio-platform/conformance';
import { FaultLog, PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import {
  BouncedMappings,
  DirectDmaMapping,
  DMA_NO_SPACE,
  DmaDirection,
  isCopied,
  MaskedDmaMapping,
} from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';

const MIB = 2 ** 20;
/** What the device reaches: 21 bits. */
const END = 2 * MIB;

/** A mapping in 8 MiB of memory; with `isHigh` what is allocated from then on lies beyond the mask. */
function setUp({ isHigh = false, capacity = 64, minAlignMask = 0 } = {}) {
  const memory = new GuestMemory(new SharedArrayBuffer(8 * MIB));
  const direct = (of: number): DirectDmaMapping =>
    new DirectDmaMapping(memory, { path: 'identity', capacity: of, limit: END, addressBits: 21 });
  const bounced = new BouncedMappings(memory, { bytes: MIB / 2, minAlignMask }, () => direct(1));
  const mapping = new MaskedDmaMapping(direct(capacity), bounced.openMapping({ queue: 0, capacity }), capacity);
  const device = PHYSICAL_ADDRESS_SPACE.open(memory, new FaultLog(), undefined);
  // Rings need a little below.
  const low = memory.allocate(END / 2, 4096);
  const rest = memory.allocate(END / 4 - 64 * 1024, 4096);
  if (!isHigh) for (const taken of [low, rest]) memory.free(taken);
  return { memory, mapping, device, dispose: (): void => bounced.dispose(), direct };
}

const because = 'device addresses are physical ones, or those of slots';
describeDmaMapping('MaskedDmaMapping below the mask', { setup: () => ({ ...setUp(), revokes: false, because }) });
describeDmaMapping('MaskedDmaMapping with low bits', {
  setup: () => ({ ...setUp({ minAlignMask: 0xfff }), revokes: false, because }),
});

describe('MaskedDmaMapping', () => {
  it('maps what the device reaches as it is, and copies what ends beyond', () => {
    const { memory, mapping, device } = setUp();
    const words = new Uint32Array(2);
    memory.u8.fill(0x5a, END - 4096, END + 4096);
    const inside = mapping.map(END - 64, 64, DmaDirection.Bidirectional, words, 0);
    expect([...words]).toEqual([END - 64, 0]);
    const across = mapping.map(END - 63, 64, DmaDirection.Bidirectional, words, 0);
    expect(words[0]! + 64).toBeLessThanOrEqual(END);
    expect(words[0]).not.toBe(END - 63);
    const seen = new Uint8Array(64);
    device.read(words[0]!, words[1]!, seen, 0, 64);
    expect(seen.every((byte) => byte === 0x5a)).toBe(true);
    device.write(words[0]!, words[1]!, seen.fill(0x17), 0, 8);
    expect(memory.u8[END - 63]).toBe(0x5a);
    mapping.syncForCpu(across, 0, 4);
    expect([memory.u8[END - 63], memory.u8[END - 59]]).toEqual([0x17, 0x5a]);
    mapping.unmap(across, 8);
    expect([memory.u8[END - 56], memory.u8[END - 55]]).toEqual([0x17, 0x5a]);
    mapping.unmap(inside, 0);
    expect(mapping.statistics).toMatchObject({ maps: 2, unmaps: 2, live: 0, bytesBounced: 64 + 4 + 8 });
  });

  it('allocates rings below the mask, also where other memory lies beyond, and says what it copies', () => {
    const { memory, mapping } = setUp({ isHigh: true });
    expect(mapping.allocateCoherent(4096, 4096).address).toBeLessThan(END);
    expect(memory.allocate(MIB)).toBeGreaterThan(END - MIB);
    expect(isCopied(mapping, END - 64, 64)).toBe(false);
    expect(isCopied(mapping, END - 64, 65)).toBe(true);
    expect(mapping.limits).toMatchObject({ addressBits: 21, copiedFrom: END, maxMappingSize: 256 * 1024 });
    expect(mapping.limits.reach).toBeUndefined();
  });

  it('copies a region beyond the mask, and keeps the low bits of addresses where the device needs them', () => {
    const { memory, mapping, device } = setUp({ minAlignMask: 0xfff });
    const words = new Uint32Array(2);
    const at = 4 * MIB + 0x123;
    memory.u8.fill(0x31, at, at + 9000);
    const region = mapping.premap(at, 9000, DmaDirection.Bidirectional);
    region.writeDeviceAddress(5000, words, 0);
    expect(words[0]! & 0xfff).toBe((at + 5000) & 0xfff);
    device.write(words[0]!, words[1]!, Uint8Array.of(1, 2, 3), 0, 3);
    region.syncForCpu(5000, 3);
    expect([...memory.u8.subarray(at + 4999, at + 5004)]).toEqual([0x31, 1, 2, 3, 0x31]);
    const id = mapping.map(at, 700, DmaDirection.ToDevice, words, 0);
    expect(words[0]! & 0xfff).toBe(0x123);
    mapping.unmap(id, 0);
    region.release();
    expect(() => region.release()).toThrow(RangeError);
  });

  it('gives back each buffer of its own, for any capacity', () => {
    const { mapping } = setUp({ capacity: 3 });
    const words = new Uint32Array(2);
    for (let round = 0; round < 10; round++) {
      const ids = [END, 4096, END + 64].map((at) => mapping.map(at, 8, DmaDirection.ToDevice, words, 0));
      for (const id of ids) mapping.unmap(id, 0);
      expect(mapping.statistics).toMatchObject({ live: 0, maps: 3 * (round + 1), unmaps: 3 * (round + 1) });
    }
  });

  it('has as many mappings as its capacity, of both kinds together', () => {
    const { mapping } = setUp({ capacity: 2 });
    const words = new Uint32Array(2);
    const ids = [END, 4096].map((address) => mapping.map(address, 8, DmaDirection.ToDevice, words, 0));
    expect(mapping.map(8192, 8, DmaDirection.ToDevice, words, 0)).toBe(DMA_NO_SPACE);
    for (const id of ids) mapping.unmap(id, 0);
    expect(() => mapping.unmap(ids[0]!, 0)).toThrow(RangeError);
    expect(mapping.map(8192, 8, DmaDirection.ToDevice, words, 0)).toBeGreaterThanOrEqual(0);
  });
});
