import { DMA_NO_SPACE, DmaDirection } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { SimulatedSmmu, Smmuv3Platform, smmuv3OptionsSchema } from '../src/index.ts';
import { deviceReads, deviceWrites, MIB, MoodySmmu, PAGE, startGuest } from './smmu-guest.ts';

const { Bidirectional, FromDevice, ToDevice } = DmaDirection;

/** A guest without the parts that look at the platform. */
function construct(unit: (memory: GuestMemory) => SimulatedSmmu, options: object = {}): () => Smmuv3Platform {
  const memory = new GuestMemory(new SharedArrayBuffer(MIB));
  return () => new Smmuv3Platform(smmuv3OptionsSchema.parse(options), memory, unit(memory));
}

/** A unit whose register at an offset is another one. */
class OtherSmmu extends SimulatedSmmu {
  readonly #offset: number;
  readonly #value: number;

  constructor(memory: GuestMemory, offset: number, value: number, streamId?: number) {
    super({ ...smmuv3OptionsSchema.parse({}).unit, memory, ...(streamId !== undefined && { streamId }) });
    this.#offset = offset;
    this.#value = value;
  }

  override read32(offset: number): number {
    return offset === this.#offset ? this.#value : super.read32(offset);
  }
}

describe('the start of the platform', () => {
  it('enables the unit, and its end frees all memory', () => {
    const guest = startGuest();
    expect([0x24, 0x28, 0x2c, 0x88].map((offset) => guest.unit.read32(offset))).toEqual([0xd, 0xd75, 6, 6]);
    guest.platform.dispose();
    expect([guest.unit.read32(0x24), guest.memory.allocated]).toEqual([0, 0]);
    expect(() => guest.platform.traits).toThrow(TypeError);
  });

  it('stops what firmware left running, and acknowledges its errors', () => {
    const memory = new GuestMemory(new SharedArrayBuffer(MIB));
    const options = smmuv3OptionsSchema.parse({});
    const unit = new SimulatedSmmu({ ...options.unit, memory });
    unit.write64(0x90, 0x8_0000 | 4, 0);
    memory.u8[0x8_0000] = 0xff;
    unit.write32(0x20, 9);
    unit.write32(0x98, 1);
    expect(unit.read32(0x60)).toBe(1);
    const platform = new Smmuv3Platform(options, memory, unit);
    expect([unit.read32(0x60), unit.read32(0x64), platform.traits.isolates]).toEqual([1, 1, true]);
  });

  it.each([
    ['has no stage 1', 0, 0x540_1018],
    ['has tables of AArch32 alone', 0, 0x540_1016],
    ['has big-endian tables alone', 0, 0x560_101a],
    ['has queues at fixed addresses', 4, 0x4273_0010],
    ['has an unknown width of addresses', 0x14, 0x77],
    ['has no pages of 4 KiB', 0x14, 0x64],
    ['is not there', 0, 0],
  ])('refuses a unit that %s', (_, offset, value) => {
    expect(construct((memory) => new OtherSmmu(memory, offset, value))).toThrow(
      expect.objectContaining({ code: 'ERR_IOMMU_UNSUPPORTED' }),
    );
  });

  it('refuses a StreamID that the unit does not have, and memory that it does not reach', () => {
    const unsupported = expect.objectContaining({ code: 'ERR_IOMMU_UNSUPPORTED' }) as Error;
    expect(construct((memory) => new OtherSmmu(memory, 4, 0x273_0005))).toThrow(unsupported);
    expect(construct((memory) => new OtherSmmu(memory, 4, 0x273_0006))).not.toThrow();
    const unaligned = { domain: 'identity', granule: '64KiB' };
    const memory = new GuestMemory(new SharedArrayBuffer(MIB + PAGE));
    const unit = new OtherSmmu(memory, -1, 0);
    expect(() => new Smmuv3Platform(smmuv3OptionsSchema.parse(unaligned), memory, unit)).toThrow(unsupported);
    expect(memory.allocated).toBe(0);
  });

  it.each(['isStuck', 'isDeaf'] as const)('gives up on a unit that %s, and keeps what it may still read', (mood) => {
    const memory = new GuestMemory(new SharedArrayBuffer(MIB));
    const options = smmuv3OptionsSchema.parse({});
    const unit = new MoodySmmu({ ...options.unit, memory });
    unit[mood] = true;
    expect(() => new Smmuv3Platform(options, memory, unit)).toThrow(
      expect.objectContaining({ code: 'ERR_IOMMU_UNRESPONSIVE' }),
    );
    expect(memory.allocated > 0).toBe(true);
  });

  it('keeps the tables where the unit does not confirm its stop', () => {
    const { unit, memory, platform } = startGuest();
    unit.isStuck = true;
    platform.dispose();
    expect(memory.allocated).toBeGreaterThan(0);
  });
});

describe.each(['4KiB', '16KiB', '64KiB'])('a translated domain with pages of %s', (granule) => {
  it('maps what a buffer is in, by its direction', () => {
    const guest = startGuest({ granule });
    const { memory, words } = guest;
    const mapping = guest.openMapping();
    const id = mapping.map(0x10_5123, 0x100, ToDevice, words, 0);
    memory.u8[0x10_5123] = 7;
    expect(words[0]! % PAGE).toBe(0x123);
    expect([deviceReads(guest, words[0]!), deviceWrites(guest, words[0]!)]).toEqual([7, 'write-not-permitted']);
    expect(mapping.resolve!(words[0]!, 0)).toBe(0x10_5123);
    mapping.unmap(id, 0);
    expect([deviceReads(guest, words[0]!), mapping.resolve!(words[0]!, 0)]).toEqual(['unmapped', -1]);
    // Stage 1 has no entry for writing alone.
    mapping.map(0x10_6000, 100, FromDevice, words, 0);
    expect([deviceReads(guest, words[0]!), deviceWrites(guest, words[0]!)]).toEqual([0, 'done']);
    expect(guest.platform.traits.writableIsReadable).toBe(true);
  });

  it.each([22, 24, 40])('hands out addresses that a device of %i bits takes', (addressBits) => {
    const bytes = smmuv3OptionsSchema.parse({ granule }).granule;
    const guest = startGuest({ granule }, 16 * MIB, { addressBits, minAlignMask: bytes - 1 });
    const { memory, words, platform } = guest;
    const mapping = guest.openMapping();
    const end = 2 ** Math.min(addressBits, 31);
    mapping.map(0x10_5123, 0x100, Bidirectional, words, 0);
    memory.u8[0x10_5123] = 7;
    // The highest page was that of the probe.
    expect([words[0], words[1]]).toEqual([end - 2 * bytes + (0x10_5123 % bytes), 0]);
    expect(deviceReads(guest, words[0]!)).toBe(7);
    expect(mapping.limits.addressBits).toBe(Math.min(addressBits, 32));
    mapping.map(0x20_0000, MIB, Bidirectional, words, 0);
    expect(words[0]! + MIB <= end).toBe(true);
    expect(deviceWrites(guest, words[0]! + MIB - 1)).toBe('done');
    const [range] = platform.addressRanges;
    expect(range!.deviceAddress + BigInt(range!.length)).toBe(BigInt(end));
  });

  it('maps a large region by blocks where both addresses allow it', () => {
    const guest = startGuest({ granule }, 48 * MIB);
    const mapping = guest.openMapping();
    const region = mapping.premap(0, 40 * MIB, Bidirectional);
    for (const offset of [3, 5 * MIB + 1, 35 * MIB + 2]) {
      region.writeDeviceAddress(offset, guest.words, 0);
      guest.memory.u8[offset] = 9;
      expect([mapping.resolve!(guest.words[0]!, 0), deviceReads(guest, guest.words[0]!)]).toEqual([offset, 9]);
    }
    region.release();
    expect(deviceReads(guest, guest.words[0]!)).toBe('unmapped');
  });
});

describe('an aperture', () => {
  it.each([
    ['4KiB', 2 ** 10 - 1],
    ['64KiB', 2 ** 6 - 1],
  ])('ends below the mask of a device of 22 bits: with pages of %s it has %i', (granule, pages) => {
    const guest = startGuest({ granule }, 16 * MIB, { addressBits: 22, minAlignMask: 0 });
    const mapping = guest.openMapping(2048);
    const ids: number[] = [];
    while (ids.length === 0 || ids.at(-1)! >= 0) ids.push(mapping.map(PAGE, 16, ToDevice, guest.words, 0));
    expect([ids.length - 1, ids.at(-1)]).toEqual([pages, DMA_NO_SPACE]);
  });

  it('returns DMA_NO_SPACE only where its aperture is full', () => {
    const guest = startGuest({ aperture: '8KiB' });
    const mapping = guest.openMapping();
    const ids = [1, 2, 3].map((page) => mapping.map(page * PAGE, 16, ToDevice, guest.words, 0));
    expect([ids[0]! >= 0, ids[1]! >= 0, ids[2]]).toEqual([true, true, DMA_NO_SPACE]);
  });
});

describe('an invalidation that the unit does not do', () => {
  it('keeps the pages and their memory, until everything is invalidated', () => {
    const guest = startGuest({ aperture: '16KiB' });
    const { memory, words, unit, platform } = guest;
    const mapping = guest.openMapping();
    const ring = mapping.allocateCoherent(PAGE, PAGE);
    const data = mapping.allocateCoherent(PAGE, PAGE);
    data.writeDeviceAddress(0, words, 0);
    const address = words[0]!;
    expect(deviceWrites(guest, address)).toBe('done');
    unit.isStuck = true;
    data.release();
    // The unit still caches the old translation, so the memory stays unused although the tables are right.
    expect([mapping.resolve!(address, 0), deviceWrites(guest, address)]).toEqual([-1, 'done']);
    expect([platform.keptBytes, platform.leaks.bytes]).toEqual([PAGE, PAGE]);
    const addresses: number[] = [];
    while (mapping.map(0x10_5000, 16, ToDevice, words, 0) >= 0) addresses.push(words[0]!);
    expect([addresses.length, addresses.includes(address)]).toEqual([2, false]);
    unit.isStuck = false;
    ring.release();
    mapping.dispose();
    expect([platform.keptBytes, memory.allocationAt(data.address)]).toEqual([0, undefined]);
    expect(deviceWrites(guest, address)).toBe('unmapped');
  });

  it('is asked for three times', () => {
    const guest = startGuest({ aperture: '16KiB', failures: { invalidation: { nth: [2, 3, 4] } } });
    const mapping = guest.openMapping();
    const ring = mapping.map(0x10_5000, 16, Bidirectional, guest.words, 0);
    const id = mapping.map(0x10_6000, 16, Bidirectional, guest.words, 0);
    // The first one was that of the probe.
    expect(guest.platform.keptBytes).toBe(0);
    const before = guest.unit.submitted;
    mapping.unmap(id, 0);
    expect([guest.unit.submitted - before, guest.platform.keptBytes]).toEqual([3, PAGE]);
    mapping.unmap(ring, 0);
    expect(guest.platform.keptBytes).toBe(0);
  });
});

describe('what the unit recorded', () => {
  it('is read from the event queue, that of this device alone', () => {
    const guest = startGuest();
    const { memory, unit, platform, words } = guest;
    const mapping = guest.openMapping();
    mapping.map(0x10_5000, 16, ToDevice, words, 0);
    deviceReads(guest, 0x1234);
    deviceWrites(guest, words[0]!);
    deviceReads(guest, 0x5678);
    // The last one is of another device.
    const base = unit.read32(0xa0) - 7;
    memory.view.setUint32(base + 2 * 32 + 4, 0x28, true);
    expect(platform.recordedFaults().map(({ address, access, cause }) => [address, access, cause])).toEqual([
      [0x1234n, 'read', 'unmapped'],
      [BigInt(words[0]!), 'write', 'write-not-permitted'],
    ]);
    expect([platform.recordedFaults(), platform.statistics]).toEqual([
      [],
      { unit: { events: 2, 'full event queues': 0, 'global errors': 0 } },
    ]);
  });

  it('counts lost events and global errors, and acknowledges them', () => {
    const guest = startGuest({ unit: { eventBits: 0 } });
    for (const address of [1, 2, 3]) deviceReads(guest, address);
    expect(guest.platform.recordedFaults()).toHaveLength(1);
    deviceReads(guest, 4);
    expect(guest.platform.recordedFaults().map(({ address }) => address)).toEqual([4n]);
    // As QEMU reports a full queue.
    const registers = new Int32Array(guest.unit.state.registers);
    registers[0x60 / 4]! ^= 4;
    guest.platform.recordedFaults();
    guest.platform.recordedFaults();
    expect(guest.platform.statistics).toEqual({ unit: { events: 2, 'full event queues': 1, 'global errors': 1 } });
    expect(guest.unit.read32(0x60)).toBe(guest.unit.read32(0x64));
  });
});

describe('a domain of physical addresses', () => {
  it.each(['pass-through', 'identity'])('is probed, and confines nothing: %s', (domain) => {
    const guest = startGuest({ domain });
    expect(guest.platform.traits).toMatchObject({
      isolates: false,
      mappedPath: 'identity',
      identityVerified: true,
      reachesAllMemory: true,
      writableIsReadable: false,
    });
    guest.memory.u8[0x12_3456] = 8;
    expect([deviceReads(guest, 0x12_3456), guest.platform.addressRanges]).toEqual([8, []]);
  });

  it('is not one any more where the device has written over the tables', () => {
    const guest = startGuest({ domain: 'identity' });
    const memory = guest.memory.u32;
    const table = guest.unit.read32(0x80) / 4 + 0x20 * 16;
    memory[table] = 1;
    expect(guest.platform.traits.identityVerified).toBe(false);
  });
});
