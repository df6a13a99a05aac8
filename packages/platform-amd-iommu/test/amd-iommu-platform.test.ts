import { DMA_NO_SPACE, DmaDirection, type DmaMapping } from '@virtio-platform/core/dma';
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
import plugin, { AmdIommuPlatform, amdIommuOptionsSchema } from '../src/index.ts';
import { MIB, MoodyUnit, PAGE, startGuest, type AmdGuest } from './amd-guest.ts';

const TOP = 0x7fff_f000;
const RW: DmaDirection = DmaDirection.Bidirectional;

/** Maps a buffer, and returns its id and its device address. */
function map({ words }: AmdGuest, mapping: DmaMapping, address: number, length: number, direction: DmaDirection = RW) {
  const id = mapping.map(address, length, direction, words, 0);
  return { id, low: words[0]!, high: words[1]! };
}

/** The notes of the platform's rules about a device with this offer. */
function notes(options: object, ...offered: number[]): string[] {
  const { rules, traits } = startGuest(options).platform;
  const input = {
    deviceFeatures: BLOCK_FEATURES,
    interface: 'modern',
    offered: FeatureSet.of(VIRTIO_F_VERSION_1, ...offered),
    supported: new FeatureSet((1n << 64n) - 1n),
    carries: transportCarries('pci'),
    traits,
    privilege: 'kernel',
    policy: { ...DEFAULT_POLICY, strict: false },
  } as const;
  const { trace } = negotiate(input, rules);
  return trace.filter(({ rule }) => rule.startsWith('amd-iommu-')).map(({ says }) => says.join());
}

describe('AmdIommuPlatform', () => {
  it.each([
    [{}, { isolates: true, mappedPath: 'translated', reachesAllMemory: false, identityVerified: false }],
    [{ confinesEveryDevice: true }, { isolates: true, confinesEveryDevice: true }],
    [{ domain: 'pass-through' }, { isolates: false, mappedPath: 'identity', identityVerified: true }],
    [{ domain: 'identity' }, { mappedPath: 'identity', reachesAllMemory: true, identityVerified: true }],
    [{ domain: 'identity', confinesEveryDevice: true }, { confinesEveryDevice: false }],
  ])('states what holds of its domain: %j', (options, traits) => {
    expect(startGuest(options).platform.traits).toMatchObject({ ...traits, interruptsExposed: true });
  });

  it('notes what the unit does with the device, and its domain', () => {
    expect(notes({}, VIRTIO_F_ACCESS_PLATFORM)[0]).toContain('its accesses go through the unit');
    expect(notes({})[0]).toContain('it bypasses the unit');
    expect(notes({ confinesEveryDevice: true })[0]).toContain('go through the unit all the same');
    expect(notes({ domain: 'pass-through' })[1]).toContain('mode 0');
  });

  it('gives exactly the permissions of a direction, until the buffer is unmapped', () => {
    const guest = startGuest();
    const mapping = guest.openMapping();
    const buffer = guest.memory.allocate(PAGE);
    const toDevice = map(guest, mapping, buffer + 8, 16, DmaDirection.ToDevice);
    expect([toDevice.low, toDevice.high]).toEqual([TOP + 8, 0]);
    expect([guest.reads(TOP + 8), guest.writes(TOP + 8)]).toEqual([true, false]);
    mapping.unmap(toDevice.id, 0);
    expect(guest.reads(TOP + 8)).toBe(false);
    const { low } = map(guest, mapping, buffer, 16, DmaDirection.FromDevice);
    expect([low, guest.reads(low), guest.writes(low)]).toEqual([TOP - PAGE, false, true]);
    expect(guest.platform.recordedFaults().map(({ cause, detail }) => [cause, detail.split(':')[0]])).toEqual([
      ['write-not-permitted', 'IO_PAGE_FAULT'],
      ['unmapped', 'IO_PAGE_FAULT'],
      ['read-not-permitted', 'IO_PAGE_FAULT'],
    ]);
    expect(guest.platform.recordedFaults()).toEqual([]);
  });

  it('uses pages of 2 MiB where both addresses allow it, and small ones again after that', () => {
    const guest = startGuest({}, 32 * MIB);
    const mapping = guest.openMapping();
    const buffer = guest.memory.allocate(4 * MIB, 2 * MIB);
    const large = map(guest, mapping, buffer, 2 * MIB);
    expect(large.low % (2 * MIB)).toBe(0);
    expect(mapping.walk!(large.low, 0).map(({ table }) => table.split(' at ')[0])).toEqual([
      'device table',
      'page table of level 3',
      'page table of level 2',
    ]);
    expect(mapping.resolve!(large.low + 5, 0)).toBe(buffer + 5);
    mapping.unmap(large.id, 0);
    expect(guest.reads(large.low)).toBe(false);
    const small = startGuest({ largePages: false }, 32 * MIB);
    const other = map(small, small.openMapping(), small.memory.allocate(2 * MIB, 2 * MIB), 2 * MIB);
    expect(small.writes(other.low + 5 * PAGE)).toBe(true);
  });

  it('hands out addresses that its levels translate', () => {
    const guest = startGuest({ levels: 1 });
    const mapping = guest.openMapping();
    const { low } = map(guest, mapping, guest.memory.allocate(PAGE), PAGE);
    expect([low, guest.writes(low)]).toEqual([2 * MIB - PAGE, true]);
    const [range] = guest.platform.addressRanges;
    expect(range).toMatchObject({ deviceAddress: BigInt(PAGE), length: 2 * MIB - PAGE });
  });

  it.each([
    ['translated', true],
    ['pass-through', false],
  ])('states the addresses of interrupts in a domain that is %s', (domain, confinesEveryDevice) => {
    const { platform } = startGuest({ domain, confinesEveryDevice });
    expect(platform.addressRanges.filter(({ kind }) => kind === 'interrupts')).toEqual([
      {
        what: 'interrupt range of a PC',
        kind: 'interrupts',
        deviceAddress: 0xfee0_0000n,
        length: 0x10_0000,
        ofEveryDevice: confinesEveryDevice,
      },
    ]);
  });

  it.each([
    [{}, 24, 24],
    [{}, 40, 31],
    [{ levels: 1 }, 24, 21],
    [{ levels: 2 }, 40, 30],
    [{ aperture: '4MiB' }, 22, 22],
  ])('hands out addresses that the device takes: %j and %i bits end at 2^%i', (options, addressBits, usedBits) => {
    const guest = startGuest(options, 16 * MIB, { addressBits, minAlignMask: 0xfff });
    const mapping = guest.openMapping();
    const end = 2 ** usedBits;
    const { low, high } = map(guest, mapping, guest.memory.allocate(2 * PAGE) + 0x123, 16);
    expect([low, high, guest.writes(low)]).toEqual([end - PAGE + 0x123, 0, true]);
    expect(mapping.limits.addressBits).toBe(Math.min(addressBits, 32));
    const large = map(guest, mapping, guest.memory.allocate(2 * MIB, 2 * MIB), MIB);
    expect([large.low + MIB <= end, guest.writes(large.low + MIB - 4)]).toEqual([true, true]);
    const [range] = guest.platform.addressRanges;
    expect(range!.deviceAddress + BigInt(range!.length)).toBe(BigInt(end));
  });

  it('has no address for a device of few bits once those below its mask are taken', () => {
    const guest = startGuest({}, 16 * MIB, { addressBits: 22, minAlignMask: 0 });
    const mapping = guest.openMapping(2048);
    const buffer = guest.memory.allocate(PAGE);
    let count = 0;
    while (mapping.map(buffer, 16, RW, guest.words, 0) >= 0) count++;
    expect(count).toBe(2 ** 10 - 1);
    expect(mapping.map(buffer, 16, RW, guest.words, 0)).toBe(DMA_NO_SPACE);
  });

  it('invalidates after a mapping too, where the unit caches that nothing was there', () => {
    const guest = startGuest({ unit: { cachesAbsence: true } });
    expect(guest.reads(TOP)).toBe(false);
    const { low } = map(guest, guest.openMapping(), guest.memory.allocate(PAGE), PAGE);
    expect([low, guest.reads(TOP)]).toEqual([TOP, true]);
  });

  it('keeps pages of which the unit confirms nothing, and takes them back once it does', () => {
    const guest = startGuest({ aperture: 4 * PAGE });
    const mapping = guest.openMapping();
    const buffer = guest.memory.allocate(PAGE);
    const { id, low } = map(guest, mapping, buffer, PAGE);
    guest.reads(low);
    guest.unit.isDeaf = true;
    mapping.unmap(id, 0);
    expect(guest.platform.keptBytes).toBe(PAGE);
    expect([guest.reads(low), mapping.resolve!(low, 0)]).toEqual([true, -1]);
    expect(guest.platform.leaks.count).toBe(1);
    guest.unit.isDeaf = false;
    mapping.unmap(map(guest, mapping, buffer, PAGE).id, 0);
    expect(guest.reads(low)).toBe(false);
    expect([guest.platform.keptBytes, guest.platform.leaks.count]).toEqual([0, 0]);
  });

  it('goes on where the command buffer was full, with what the unit had missed', () => {
    const guest = startGuest();
    const mapping = guest.openMapping();
    const buffer = guest.memory.allocate(PAGE);
    guest.unit.isDeaf = true;
    // Three tries of two commands for each buffer fill the 256 places.
    for (let i = 0; i < 60; i++) mapping.unmap(map(guest, mapping, buffer, PAGE).id, 0);
    guest.unit.isDeaf = false;
    mapping.unmap(map(guest, mapping, buffer, PAGE).id, 0);
    expect(guest.unit.register(0x2000)).toBe(guest.unit.register(0x2008));
    expect(mapping.statistics.live).toBe(0);
  });

  it.each(['translated', 'pass-through', 'identity'])('gives all memory back: %s', (domain) => {
    const { memory, platform, unit } = startGuest({ domain });
    expect(memory.allocated).toBeGreaterThan(0);
    platform.dispose();
    platform.dispose();
    expect([memory.allocated, unit.register(0x18) & 0x1005]).toEqual([0, 0]);
    expect(() => platform.traits).toThrow('disposed');
  });

  it('keeps the tables where the unit does not confirm that it stopped', () => {
    const { memory, platform, unit } = startGuest();
    unit.isStuck = true;
    platform.dispose();
    expect(memory.allocated).toBeGreaterThan(0);
  });

  it.each([
    [{ levels: 5, unit: { levels: 4 } }, /walks 4 levels of page tables \(HATS\), not 5/],
    [{ domain: 'identity', levels: 1 }, /1 levels translate 21 bits/],
  ])('refuses what the unit cannot: %j', (options, message) => {
    const memory = new GuestMemory(new SharedArrayBuffer(16 * MIB));
    const checked = amdIommuOptionsSchema.parse(options);
    const unit = new MoodyUnit(memory, checked.unit);
    expect(() => new AmdIommuPlatform(checked, memory, unit)).toThrow(message);
    expect(memory.allocated).toBe(0);
  });

  it('refuses a function that is no IOMMU, and one that does not start', () => {
    const memory = new GuestMemory(new SharedArrayBuffer(16 * MIB));
    const options = amdIommuOptionsSchema.parse({});
    const none = new MoodyUnit(memory, options.unit);
    new Int32Array(none.state.config)[0x40 / 4] = 0x0002_000f;
    expect(() => new AmdIommuPlatform(options, memory, none)).toThrow(
      expect.objectContaining({ code: 'ERR_IOMMU_UNSUPPORTED', message: expect.stringContaining('no capability') }),
    );
    const stuck = new MoodyUnit(memory, options.unit);
    stuck.isStuck = true;
    expect(() => new AmdIommuPlatform(options, memory, stuck)).toThrow(
      expect.objectContaining({ code: 'ERR_IOMMU_UNRESPONSIVE' }),
    );
    const deaf = new MoodyUnit(memory, options.unit);
    deaf.isDeaf = true;
    expect(() => new AmdIommuPlatform(options, memory, deaf)).toThrow('first invalidation of all caches');
  });

  it('refuses a PCI function whose capabilities lead in a circle', () => {
    const memory = new GuestMemory(new SharedArrayBuffer(16 * MIB));
    const options = amdIommuOptionsSchema.parse({});
    const unit = new MoodyUnit(memory, options.unit);
    const config = new Int32Array(unit.state.config);
    [config[0x34 / 4], config[0x50 / 4]] = [0x50, 0x5005];
    expect(() => new AmdIommuPlatform(options, memory, unit)).toThrow('no capability');
  });

  it('starts the unit again after a command that it refused', () => {
    const guest = startGuest();
    const mapping = guest.openMapping();
    const { id, low } = map(guest, mapping, guest.memory.allocate(PAGE), PAGE);
    guest.reads(low);
    // Something writes over the command before the unit sees it.
    const base = guest.unit.register(0x08) / 4;
    const write64 = guest.unit.write64.bind(guest.unit);
    let isSpoiled = false;
    guest.unit.write64 = (offset, first, second) => {
      if (offset === 0x2008 && first !== 0 && !isSpoiled) {
        isSpoiled = true;
        guest.memory.u32[base + guest.unit.register(0x2000) / 4 + 1] = 0xf000_0000;
      }
      write64(offset, first, second);
    };
    mapping.unmap(id, 0);
    expect([isSpoiled, guest.reads(low), guest.platform.keptBytes]).toEqual([true, false, 0]);
  });
});

describe('what is known of refused accesses', () => {
  it('is one fault without an address, where the unit logs nothing', () => {
    const guest = startGuest({ unit: { eventLog: false } });
    expect(guest.platform.recordedFaults()).toEqual([]);
    guest.reads(0x1000);
    guest.writes(0x2000);
    expect(guest.platform.recordedFaults()).toEqual([
      {
        address: 0n,
        length: 0,
        access: 'read or write',
        cause: 'unmapped',
        code: 0,
        detail: expect.stringContaining('PCI status'),
      },
    ]);
    expect(guest.platform.recordedFaults()).toEqual([]);
  });

  it('are the addresses that the machine noticed, by page', () => {
    const memory = new GuestMemory(new SharedArrayBuffer(16 * MIB));
    const options = amdIommuOptionsSchema.parse({
      unit: { eventLog: false },
      failures: { invalidation: { every: 9 } },
    });
    const unit = new MoodyUnit(memory, options.unit);
    let denied = [0x9000n];
    Object.assign(unit, { takeDenied: () => denied.splice(0) });
    const platform = new AmdIommuPlatform(options, memory, unit);
    expect(platform.recordedFaults()).toEqual([]);
    denied = [0x5000n, 0x5004n, 0x5ffcn, 0x6000n, 0x5000n];
    expect(platform.recordedFaults().map(({ address, length, access }) => [address, length, access])).toEqual([
      [0x5000n, 0xffd, 'read or write'],
      [0x6000n, 1, 'read or write'],
      [0x5000n, 1, 'read or write'],
    ]);
    denied = Array.from({ length: 600 }, (_, i) => BigInt(i) * 4096n);
    expect(platform.recordedFaults()).toHaveLength(256);
  });

  it('is only that of its own device, and not of commands', () => {
    const guest = startGuest();
    const log = guest.unit.register(0x10) / 4;
    guest.memory.u32.set([0x28, 0x2000_0001, 0x1000, 0, 0x20, 0x5000_0000, 0x1000, 0, 0x20, 0x9000_0000, 7, 0], log);
    guest.unit.write64(0x2018, 0x30, 0);
    expect(guest.platform.recordedFaults()).toMatchObject([
      { cause: 'iommu-error', code: 9, address: 0n, detail: 'an event with the unknown code 0x9' },
    ]);
    expect(guest.unit.register(0x2010)).toBe(0x30);
  });

  it('goes on after the log had no room', () => {
    const guest = startGuest();
    for (let i = 0; i < 300; i++) guest.reads(i * PAGE);
    expect(guest.platform.recordedFaults()).toHaveLength(255);
    guest.reads(0x3000);
    expect(guest.platform.recordedFaults()).toMatchObject([{ address: 0x3000n, access: 'read' }]);
  });
});

describe('the plugin amd-iommu', () => {
  it('simulates a unit before devices that offer ACCESS_PLATFORM, or before every device', () => {
    const memory = new GuestMemory(new SharedArrayBuffer(MIB));
    const bypassed = plugin.simulate!(memory, amdIommuOptionsSchema.parse({}));
    expect(bypassed.addressSpace(true)).not.toBe(bypassed.addressSpace(false));
    const confined = plugin.simulate!(memory, amdIommuOptionsSchema.parse({ confinesEveryDevice: true }));
    expect(confined.addressSpace(false)).toBe(confined.addressSpace(true));
  });
});
