import { DmaDirection } from '@virtio-platform/core/dma';
import {
  FeatureSet,
  transportCarries,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_VERSION_1,
} from '@virtio-platform/core/features';
import { GuestMemory } from '@virtio-platform/core/memory';
import { DEFAULT_POLICY, negotiate } from '@virtio-platform/core/negotiation';
import { BLOCK_FEATURES } from '@virtio-platform/device-block';
import { describe, expect, it } from 'vitest';
import plugin, { IntelIommuPlatform, intelIommuOptionsSchema, SimulatedVtd } from '../src/index.ts';
import { MIB, PAGE, startGuest, type RemappedGuest } from './remapped-guest.ts';

const TOP = 0x7fff_f000;
const SCALABLE = { mode: 'scalable', invalidation: 'queued', unit: { scalableMode: true } } as const;

function reads({ space }: RemappedGuest, low: number, high = 0): boolean {
  return space.read(low, high, new Uint8Array(4), 0, 4);
}

function writes({ space }: RemappedGuest, low: number): boolean {
  return space.write(low, 0, new Uint8Array(4), 0, 4);
}

/** The page of an address, as faults have it. */
function page(low: number): bigint {
  return BigInt(low - (low % PAGE));
}

/** The notes of the platform's rules about a device with this offer. */
function notes(options: object, ...offered: number[]): string[] {
  const { platform } = startGuest(options);
  const { rules, traits } = platform;
  const all = new FeatureSet((1n << 64n) - 1n);
  const input = {
    deviceFeatures: BLOCK_FEATURES,
    interface: 'modern',
    offered: FeatureSet.of(VIRTIO_F_VERSION_1, ...offered),
    supported: all,
    carries: transportCarries('pci'),
    traits,
    privilege: 'kernel',
    policy: { ...DEFAULT_POLICY, strict: false },
  } as const;
  const { trace } = negotiate(input, rules);
  return trace.filter(({ rule }) => rule.startsWith('vtd-')).map(({ says }) => says.join());
}

/** Puts a fault into the first register, as a unit would that has met it. */
function recordFault({ unit }: RemappedGuest, sourceId: number, reason: number): void {
  const registers = new Uint32Array(unit.state.registers);
  registers.set([0x7000, 3, sourceId, (2 ** 31 + reason) >>> 0], 0x220 / 4);
  registers[0x34 / 4] = 2;
}

describe('IntelIommuPlatform', () => {
  it.each([
    [
      {},
      {
        mappedPath: 'translated',
        isolates: true,
        identityVerified: false,
        reachesAllMemory: false,
        interruptsExposed: true,
      },
    ],
    [
      { domain: 'pass-through' },
      { mappedPath: 'identity', isolates: false, identityVerified: true, reachesAllMemory: true },
    ],
    [
      { domain: 'identity' },
      { mappedPath: 'identity', isolates: false, identityVerified: true, reachesAllMemory: true },
    ],
    [{ confinesEveryDevice: true }, { confinesEveryDevice: true }],
    [{ confinesEveryDevice: true, domain: 'identity' }, { confinesEveryDevice: false }],
    [
      { invalidation: 'queued', interruptRemapping: true, unit: { interruptRemapping: true } },
      { interruptsExposed: false, factOptions: { interruptsExposed: 'platform.interruptRemapping: true' } },
    ],
  ])('states what it found with %j', (options, traits) => {
    expect(startGuest(options).platform.traits).toMatchObject(traits);
  });

  it('translates from the start, so that a device reaches only mapped memory', () => {
    const guest = startGuest();
    expect([guest.unit.read32(0x1c), reads(guest, 0x10_0000)]).toEqual([0xc000_0000, false]);
  });

  it.each([
    ['legacy', 'registers', 39],
    ['legacy', 'queued', 48],
    ['legacy', 'registers', 57],
    ['scalable', 'queued', 39],
    ['scalable', 'queued', 57],
  ] as const)('confines a device in %s mode, by %s, with %i bits', (mode, invalidation, addressWidth) => {
    const unit = { scalableMode: mode === 'scalable', addressWidth: 57 };
    const guest = startGuest({ mode, invalidation, addressWidth, unit });
    const mapping = guest.openMapping();
    const id = mapping.map(0x10_5123, 4, DmaDirection.ToDevice, guest.words, 0);
    const address = guest.words[0]!;
    guest.memory.u8[0x10_5123] = 9;
    expect([reads(guest, address), writes(guest, address)]).toEqual([true, false]);
    mapping.unmap(id, 0);
    expect(reads(guest, address)).toBe(false);
    const write = mode === 'scalable' ? 0x85 : 5;
    // The unit has one record, which the write took. The tables say by now that nothing is mapped.
    expect(guest.platform.recordedFaults()).toMatchObject([{ access: 'write', reason: write, cause: 'unmapped' }]);
    const levels = mapping.walk(address, 0).filter(({ table }) => table.includes('page table'));
    expect(levels).toHaveLength((addressWidth - 12) / 9);
    mapping.dispose();
    guest.platform.dispose();
    expect([guest.memory.allocated, guest.unit.read32(0x1c)]).toEqual([0, 0x4000_0000]);
  });

  it('does not verify identity when the tables were changed', () => {
    const guest = startGuest({ domain: 'identity' });
    const root = new Uint32Array(2);
    guest.unit.read64(0x20, root);
    // The context entry says another width.
    const context = guest.memory.u32[root[0]! / 4]! & -PAGE;
    guest.memory.u32[(context + 0x20 * 16 + 8) / 4] = 2;
    expect(guest.platform.traits.identityVerified).toBe(false);
  });

  it('gives a device all of memory one to one in an identity domain, and nothing else', () => {
    for (const largePages of [true, false]) {
      const guest = startGuest({ domain: 'identity', largePages });
      expect(guest.space.borrow(0, 0, 16 * MIB, 'write')).toBe(0);
      expect(reads(guest, 16 * MIB)).toBe(false);
      guest.openDirect().map(0x10_0123, 4, DmaDirection.ToDevice, guest.words, 0);
      expect([...guest.words]).toEqual([0x10_0123, 0]);
    }
  });

  it.each([
    [{ addressWidth: 48, unit: { addressWidth: 39 } }, /48 bits .*: 39/],
    [{ addressWidth: 57 }, /57 bits .*: 39 or 48/],
    [{ domain: 'pass-through', unit: { passThrough: false } }, /no pass-through/],
    [{ mode: 'scalable', invalidation: 'queued' }, /no scalable mode/],
    [{ invalidation: 'queued', unit: { queuedInvalidation: false } }, /no invalidation queue/],
  ])('refuses %j, which the unit does not have, and leaves nothing behind', (options, message) => {
    const memory = new GuestMemory(new SharedArrayBuffer(MIB));
    const checked = intelIommuOptionsSchema.parse(options);
    const open = (): unknown => new IntelIommuPlatform(checked, memory, new SimulatedVtd({ ...checked.unit, memory }));
    expect(open).toThrow(
      expect.objectContaining({ code: 'ERR_IOMMU_UNSUPPORTED', message: expect.stringMatching(message) }),
    );
    expect(memory.allocated).toBe(0);
  });

  it.each<readonly [number, object]>([
    ...[2, 3, 4].map((pages) => [pages, {}] as const),
    ...[2, 3, 4, 5, 6, 7, 8].map((pages) => [pages, SCALABLE] as const),
  ])('frees everything when memory of %i pages is too small for %j', (pages, options) => {
    const memory = new GuestMemory(new SharedArrayBuffer(pages * PAGE));
    const checked = intelIommuOptionsSchema.parse({ domain: 'identity', ...options });
    expect(() => new IntelIommuPlatform(checked, memory, new SimulatedVtd({ ...checked.unit, memory }))).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^ERR_(DMA|IOMMU)_/) }),
    );
    expect(memory.allocated).toBe(0);
  });

  it.each([
    [{}, false],
    [{ domain: 'pass-through', confinesEveryDevice: true }, true],
    [{ invalidation: 'queued', interruptRemapping: true, unit: { interruptRemapping: true } }, false],
  ])('states the addresses of interrupts, remapped or not: %j', (options, ofEveryDevice) => {
    const { platform } = startGuest(options);
    expect(platform.addressRanges.filter(({ kind }) => kind === 'interrupts')).toEqual([
      {
        what: 'interrupt range of a PC',
        kind: 'interrupts',
        deviceAddress: 0xfee0_0000n,
        length: 0x10_0000,
        ofEveryDevice,
      },
    ]);
  });

  it('stops translation and frees its tables', () => {
    const guest = startGuest();
    guest.openMapping().allocateCoherent(PAGE, PAGE).release();
    guest.platform.dispose();
    expect([guest.unit.read32(0x1c), guest.memory.allocated]).toEqual([0x4000_0000, 0]);
    expect(() => guest.openMapping()).toThrow(TypeError);
    expect(guest.platform.recordedFaults()).toEqual([]);
    guest.platform.dispose();
  });

  it('keeps its tables when the unit does not confirm its stop', () => {
    const guest = startGuest();
    guest.unit.isDeaf = true;
    guest.platform.dispose();
    expect(guest.memory.allocated).toBeGreaterThan(0);
  });

  it('refuses a path other than that of its domain', () => {
    expect(() => startGuest({ domain: 'identity' }).openMapping()).toThrow(/maps identity with these options/);
    expect(() => startGuest().openDirect()).toThrow(/maps translated/);
  });
});

describe('IntelIommuPlatform.recordedFaults', () => {
  it('distinguishes unmapped from not permitted by the tables', () => {
    const guest = startGuest({ unit: { faultRecords: 8 } });
    guest.openMapping().map(0x10_0000, 16, DmaDirection.ToDevice, guest.words, 0);
    const address = guest.words[0]!;
    writes(guest, address + 0x10);
    writes(guest, address - PAGE);
    reads(guest, address - 2 * PAGE);
    reads(guest, 0x1000, 0x80);
    expect(guest.platform.recordedFaults()).toEqual([
      {
        address: page(address),
        length: PAGE,
        access: 'write',
        cause: 'write-not-permitted',
        reason: 5,
        detail: expect.any(String),
      },
      {
        address: page(address - PAGE),
        length: PAGE,
        access: 'write',
        cause: 'unmapped',
        reason: 5,
        detail: expect.any(String),
      },
      {
        address: page(address - 2 * PAGE),
        length: PAGE,
        access: 'read',
        cause: 'unmapped',
        reason: 6,
        detail: expect.any(String),
      },
      {
        address: 0x80_0000_1000n,
        length: PAGE,
        access: 'read',
        cause: 'outside-window',
        reason: 4,
        detail: expect.any(String),
      },
    ]);
  });

  it('returns each fault once, and frees its record', () => {
    const guest = startGuest();
    reads(guest, TOP);
    reads(guest, TOP - PAGE);
    expect(guest.platform.recordedFaults().map(({ address }) => address)).toEqual([BigInt(TOP)]);
    expect([guest.platform.recordedFaults(), guest.unit.read32(0x34)]).toEqual([[], 0]);
    reads(guest, TOP - 2 * PAGE);
    expect(guest.platform.recordedFaults()).toHaveLength(1);
  });

  it('returns faults in order, from any first record', () => {
    const guest = startGuest({ unit: { faultRecords: 3 } });
    for (const pages of [[1], [2, 3, 4], [5, 6]]) {
      for (const number of pages) reads(guest, number * PAGE);
      expect(guest.platform.recordedFaults().map(({ address }) => Number(address) / PAGE)).toEqual(pages);
    }
  });

  it('omits faults of other devices, but clears their records', () => {
    const guest = startGuest();
    recordFault(guest, 0x28, 6);
    expect(guest.platform.recordedFaults()).toEqual([]);
    expect(guest.unit.read32(0x22c) >>> 31).toBe(0);
  });

  it.each([
    [1, 'unmapped', /root entry/],
    [2, 'unmapped', /context entry/],
    [3, 'unmapped', /invalid for this unit/],
    [7, 'iommu-error', /not in memory/],
    [0xc, 'iommu-error', /reserved bits/],
    [0x1f, 'iommu-error', /unknown reason 0x1f/],
    [0x27, 'iommu-error', /unknown reason 0x27/],
  ])('describes reason %i, also an unknown one', (code, cause, detail) => {
    const guest = startGuest();
    recordFault(guest, 0x20, code);
    expect(guest.platform.recordedFaults()).toEqual([
      expect.objectContaining({ address: 0x3_0000_7000n, access: 'write', cause, reason: code }),
    ]);
    recordFault(guest, 0x20, code);
    expect(guest.platform.recordedFaults()[0]!.detail).toMatch(detail);
  });

  it('names the entry of an interrupt instead of an address, where the request named one', () => {
    const unit = { interruptRemapping: true, faultRecords: 8 };
    const guest = startGuest({ invalidation: 'queued', interruptRemapping: true, unit });
    const sends = (address: number, data = 0): boolean =>
      guest.space.write(address, 0, new Uint8Array(new Uint32Array([data]).buffer), 0, 4);
    expect([sends(0xfee0_0070), sends(0xfee0_1000, 0x41), sends(0xfee0_0018, 0x1_0000)]).toEqual([false, false, false]);
    const common = { address: 0n, length: 0, access: 'write', cause: 'interrupt-blocked' };
    expect(guest.platform.recordedFaults()).toEqual([
      {
        ...common,
        reason: 0x22,
        detail: 'an interrupt, and its entry of the interrupt remapping table is not present (entry 3)',
      },
      { ...common, reason: 0x25, detail: 'an interrupt in compatibility format, which is blocked' },
      { ...common, reason: 0x20, detail: 'an interrupt, and reserved bits are set in its data' },
    ]);
    guest.platform.dispose();
    expect([guest.memory.allocated, guest.unit.read32(0x1c)]).toEqual([0, 0x4100_0000]);
  });

  it('does not return faults from before it started the unit', () => {
    const checked = intelIommuOptionsSchema.parse({});
    const unit = new SimulatedVtd(checked.unit);
    const registers = new Uint32Array(unit.state.registers);
    registers.set([0x7000, 0, 0x20, 2 ** 31 + 6], 0x220 / 4);
    registers[0x34 / 4] = 2;
    const memory = new GuestMemory(new SharedArrayBuffer(MIB));
    expect(new IntelIommuPlatform(checked, memory, unit).recordedFaults()).toEqual([]);
  });
});

describe('what negotiation says behind VT-d', () => {
  it.each([
    [{}, [VIRTIO_F_ACCESS_PLATFORM], /go through the remapping unit/, /DMA domain of its own/],
    [{}, [], /bypasses the remapping unit/, /DMA domain/],
    [{ confinesEveryDevice: true }, [], /go through the remapping unit all the same/, /DMA domain/],
    [{ domain: 'pass-through' }, [], /bypasses/, /pass-through domain/],
    [{ domain: 'identity' }, [], /bypasses/, /one to one/],
  ])('explains %j for a device that offers %j', (options, offered, ofDevice, ofDomain) => {
    expect(notes(options, ...offered)).toEqual([expect.stringMatching(ofDevice), expect.stringMatching(ofDomain)]);
  });
});

describe('the plugin', () => {
  it('gives a device without ACCESS_PLATFORM physical memory, unless every device is confined', () => {
    const memory = new GuestMemory(new SharedArrayBuffer(MIB));
    for (const confinesEveryDevice of [false, true]) {
      const hardware = plugin.simulate!(memory, intelIommuOptionsSchema.parse({ confinesEveryDevice }));
      expect(hardware.addressSpace(false) === hardware.addressSpace(true)).toBe(confinesEveryDevice);
    }
  });
});
