import { GUEST_MEMORY, PLATFORM } from '@virtio-platform/core';
import { FaultLog, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DmaDirection } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import { container } from 'tsyringe';
import { describe, expect, it } from 'vitest';
import plugin, { IntelIommuPlatform, intelIommuOptionsSchema, VTD_FACILITY } from '../../src/index.ts';
import { openAddressSpace } from '../../src/simulated/vtd-translation.ts';
import { formerOwnerSchema } from '../../src/takeover/former-owner-options.ts';
import { leaveTables } from '../../src/takeover/leave-tables.ts';
import { MIB, MoodyVtd, PAGE } from '../remapped-guest.ts';

/** The first page that the former owner maps, and one that it maps and the next owner does not. */
const FIRST = 0x7fff_f000;
const LOW = 0x7fe0_0000;
const SCALABLE = { mode: 'scalable', invalidation: 'queued', unit: { scalableMode: true } } as const;
const REMAPPING = { invalidation: 'queued', interruptRemapping: true, unit: { interruptRemapping: true } } as const;
const REMAPPING_FORMER = { formerOwner: { invalidation: 'queued', interruptRemapping: true, buffers: 512 } } as const;
const SCALABLE_FORMER = { formerOwner: { mode: 'scalable', buffers: 512 } } as const;

const INTERRUPTS_GO_ON = /; interrupt remapping goes on with a copy of its table$/;
const INTERRUPTS_STOPPED = /; interrupt remapping was on and was stopped$/;

interface Bench {
  readonly memory: GuestMemory;
  readonly unit: MoodyVtd;
  readonly space: DeviceAddressSpace;
  readonly faults: FaultLog;
  readonly free: () => void;
  takeOver(freeFormer?: () => void): IntelIommuPlatform;
}

/** A unit that another kernel left translating. */
function leave(given: object): Bench {
  const options = intelIommuOptionsSchema.parse({ aperture: '1MiB', formerOwner: { buffers: 512 }, ...given });
  const memory = new GuestMemory(new SharedArrayBuffer(16 * MIB));
  const unit = new MoodyVtd({ ...options.unit, memory });
  const free = leaveTables(unit, memory, options.formerOwner ?? formerOwnerSchema.parse({}));
  const faults = new FaultLog();
  const space = openAddressSpace(memory, faults, unit.state);
  const takeOver = (freeFormer?: () => void): IntelIommuPlatform =>
    new IntelIommuPlatform(options, memory, unit, freeFormer);
  return { memory, unit, space, faults, free, takeOver };
}

function writes({ space }: Bench, low: number): boolean {
  return space.write(low, 0, new Uint8Array(16), 0, 16);
}

/** Writes the low bits of the address of the interrupt remapping table, and adds to the rest. */
function setTable(unit: MoodyVtd, change: number): void {
  unit.write64(0xb8, (unit.read32(0xb8) & -PAGE) + change, 0);
}

/** What the rule of the takeover says. */
function summary({ rules }: IntelIommuPlatform): string {
  const notes: string[] = [];
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a rule that only adds a note
  rules
    .find(({ name }) => name === 'vtd-takes-the-unit-over')!
    .apply({ note: (text: string) => notes.push(text) } as never);
  return notes.join('\n');
}

/** Maps a page for the device to write, and returns its address. */
function mapPage(platform: IntelIommuPlatform, memory: GuestMemory): number {
  const words = new Uint32Array(2);
  const mapping = platform.openMapping(platform.traits.mappedPath, { queue: 0, capacity: 4 });
  mapping.map(memory.allocate(PAGE, PAGE), PAGE, DmaDirection.FromDevice, words, 0);
  return words[0]!;
}

describe('a kernel that was started by kexec', () => {
  it.each([
    ['registers after registers', {}],
    ['a queue after a queue', { invalidation: 'queued', formerOwner: { invalidation: 'queued', buffers: 512 } }],
    ['scalable after scalable', { ...SCALABLE, ...SCALABLE_FORMER }],
    ['legacy after scalable', { ...SCALABLE_FORMER, unit: { scalableMode: true } }],
    ['interrupts remapped after remapped ones', { ...REMAPPING, ...REMAPPING_FORMER }],
    ['no interrupts remapped after remapped ones', { ...REMAPPING, ...REMAPPING_FORMER, interruptRemapping: false }],
  ])('uses nothing of the tables before: %s', (_, options) => {
    const bench = leave({ takeover: 'kexec', ...options });
    // The device uses both addresses, so that the unit has them cached.
    expect([writes(bench, FIRST), writes(bench, LOW), writes(bench, LOW - PAGE)]).toEqual([true, true, false]);
    bench.free();
    // The memory of the tables is new, and whatever it becomes the unit does not follow it.
    expect(bench.memory.allocated).toBe(0);
    const platform = bench.takeOver();
    expect([writes(bench, FIRST), writes(bench, LOW)]).toEqual([false, false]);
    expect(platform.recordedFaults()).toMatchObject([{ address: BigInt(FIRST), access: 'write', cause: 'unmapped' }]);
    expect(writes(bench, mapPage(platform, bench.memory))).toBe(true);
    expect(writes(bench, LOW)).toBe(false);
    expect(summary(platform)).toMatch(/^after kexec: translation was on and was stopped/);
    expect(INTERRUPTS_STOPPED.test(summary(platform))).toBe('unit' in options && 'interruptRemapping' in options.unit);
  });

  it('writes nothing to memory before translation is off', () => {
    const bench = leave({ takeover: 'kexec' });
    bench.free();
    bench.unit.isDeaf = true;
    const before = bench.memory.u8.slice();
    expect(() => bench.takeOver()).toThrow(expect.objectContaining({ code: 'ERR_IOMMU_UNRESPONSIVE' }));
    expect(bench.memory.u8.every((byte, i) => byte === before[i])).toBe(true);
  });
});

describe('a kernel after a crash', () => {
  it.each([
    ['registers after registers', {}],
    ['a queue after registers', { invalidation: 'queued' }],
    ['a queue after a queue', { invalidation: 'queued', formerOwner: { invalidation: 'queued', buffers: 512 } }],
    ['in caching mode', { unit: { cachingMode: true } }],
    ['scalable after scalable', { ...SCALABLE, ...SCALABLE_FORMER }],
    ['pass-through', { domain: 'pass-through' }],
  ])('lets a device go on until its driver comes: %s', (_, options) => {
    const bench = leave({ takeover: 'kdump', ...options });
    const platform = bench.takeOver(bench.free);
    expect(summary(platform)).toBe('after kdump: translation goes on with a copy of its root and 1 context table');
    // The probe of the traits maps a page in the next owner's domain and gives it back.
    expect(platform.traits.mappedPath).toMatch(/translated|identity/);
    expect([writes(bench, FIRST), writes(bench, LOW)]).toEqual([true, true]);
    expect(platform.recordedFaults()).toEqual([]);
    const address = mapPage(platform, bench.memory);
    expect(writes(bench, address)).toBe(true);
    expect(writes(bench, LOW)).toBe(false);
    expect(bench.faults.entries).toHaveLength(1);
    platform.dispose();
  });

  it('has a domain id that no context before has, and copies those of other devices', () => {
    const bench = leave({ takeover: 'kdump', unit: {} });
    const root = (): number => {
      const words = new Uint32Array(2);
      bench.unit.read64(0x20, words);
      return words[0]!;
    };
    const { u32 } = bench.memory;
    const context = (): number => (u32[root() / 4]! & -PAGE) / 4;
    // Another device, in domain 2 of the former owner, and one on bus 3 whose table is outside of memory.
    const other = context() + 5 * 4;
    u32.set([0x1000_0001, 0, (2 << 8) | 1, 0], other);
    u32.set([0x7fff_f001, 0, 0, 0], root() / 4 + 3 * 4);
    const before = root();
    const platform = bench.takeOver(bench.free);
    expect(root()).not.toBe(before);
    expect([...u32.subarray(context() + 5 * 4, context() + 6 * 4)]).toEqual([0x1000_0001, 0, (2 << 8) | 1, 0]);
    expect(u32[root() / 4 + 3 * 4]).toBe(0);
    mapPage(platform, bench.memory);
    expect(u32[context() + 0x20 * 4 + 2]! >>> 8).toBe(3);
    expect(u32[context() + 5 * 4]).toBe(0x1000_0001);
  });

  it.each<readonly [string, object, (bench: Bench) => void, RegExp]>([
    [
      'tables of the other mode',
      { ...SCALABLE_FORMER, unit: { scalableMode: true } },
      () => {},
      /are of scalable mode/,
    ],
    ['no root table', {}, ({ unit }) => unit.write64(0x20, 0, 0), /root table is not in memory/],
    ['a root table outside of memory', {}, ({ unit }) => unit.write64(0x20, 0, 0x100), /root table is not in memory/],
    ['translation that is off', {}, ({ unit }) => unit.write32(0x18, 0), /translation was off/],
  ])('stops the unit and starts it with its own tables where it finds %s', (_, options, change, why) => {
    const bench = leave({ takeover: 'kdump', ...options });
    change(bench);
    const platform = bench.takeOver(bench.free);
    expect(summary(platform)).toMatch(why);
    expect(writes(bench, LOW)).toBe(false);
    expect(writes(bench, mapPage(platform, bench.memory))).toBe(true);
  });

  it.each<readonly [string, object, (unit: MoodyVtd) => void, boolean]>([
    ['copies the entries by which interrupts are remapped', REMAPPING, () => {}, true],
    ['stops remapping where it does not remap itself', { ...REMAPPING, interruptRemapping: false }, () => {}, false],
    ['copies no larger table than its own', REMAPPING, (unit) => setTable(unit, 8), false],
    ['copies no entries with destinations of 32 bits', REMAPPING, (unit) => setTable(unit, 0x807), false],
    ['copies no table outside of memory', REMAPPING, (unit) => setTable(unit, 0x4000_0000), false],
  ])('%s', (_, options, change, isCopied) => {
    const bench = leave({ takeover: 'kdump', ...REMAPPING_FORMER, ...options });
    const table = (bench.unit.read32(0xb8) & -PAGE) / 4;
    bench.memory.u32.set([0x0041_0001, 0x0100, (1 << 18) | 0x20, 0], table + 4 * 9);
    const sends = (): boolean => bench.space.write(0xfee0_0130, 0, new Uint8Array(4), 0, 4);
    expect(sends()).toBe(true);
    change(bench.unit);
    const platform = bench.takeOver(bench.free);
    expect((bench.unit.read32(0x1c) & 0x200_0000) !== 0).toBe(platform.traits.interruptsExposed === false);
    expect(sends()).toBe(isCopied);
    expect(summary(platform)).toMatch(isCopied ? INTERRUPTS_GO_ON : INTERRUPTS_STOPPED);
    platform.dispose();
    expect(bench.memory.allocated).toBe(0);
  });

  it.each<readonly [string, object, (unit: MoodyVtd) => void]>([
    ['the other mode', { mode: 'scalable', unit: { interruptRemapping: true, scalableMode: true } }, () => {}],
    ['no root table', {}, (unit) => unit.write64(0x20, 0, 0)],
    ['translation off', {}, (unit) => unit.write32(0x18, 0x600_0000)],
  ])('goes on remapping interrupts, never off, where it finds %s', (_, options, change) => {
    const bench = leave({ takeover: 'kdump', ...REMAPPING, ...REMAPPING_FORMER, ...options });
    const table = (bench.unit.read32(0xb8) & -PAGE) / 4;
    bench.memory.u32.set([0x0041_0001, 0x0100, (1 << 18) | 0x20, 0], table + 4 * 9);
    change(bench.unit);
    const given: number[] = [];
    const write = bench.unit.write32.bind(bench.unit);
    bench.unit.write32 = (offset, value) => {
      if (offset === 0x18) given.push(value);
      write(offset, value);
    };
    const platform = bench.takeOver(bench.free);
    expect(given.every((value) => (value & 0x200_0000) !== 0)).toBe(true);
    expect(bench.space.write(0xfee0_0130, 0, new Uint8Array(4), 0, 4)).toBe(true);
    expect(writes(bench, LOW)).toBe(false);
    expect(writes(bench, mapPage(platform, bench.memory))).toBe(true);
    expect(summary(platform)).toMatch(INTERRUPTS_GO_ON);
    platform.dispose();
    // The page that was mapped is the test's.
    expect([bench.memory.allocated, bench.unit.read32(0x1c)]).toEqual([PAGE, 0x4100_0000]);
  });

  it('gives the device nothing where the unit does not confirm that it forgot the tables before', () => {
    const bench = leave({ takeover: 'kdump' });
    const platform = bench.takeOver(bench.free);
    expect(writes(bench, LOW)).toBe(true);
    bench.unit.isMute = true;
    expect(() => mapPage(platform, bench.memory)).toThrow(
      expect.objectContaining({ code: 'ERR_IOMMU_UNRESPONSIVE', message: expect.stringMatching(/forgot the tables/) }),
    );
    bench.unit.isMute = false;
    // It can be tried again.
    expect(writes(bench, mapPage(platform, bench.memory))).toBe(true);
    expect(writes(bench, LOW)).toBe(false);
  });

  it('frees the memory of the kernel that crashed at its own end', () => {
    const bench = leave({ takeover: 'kdump' });
    const left = bench.memory.allocated;
    expect(left).toBeGreaterThan(512 * PAGE);
    const platform = bench.takeOver(bench.free);
    expect(bench.memory.allocated).toBeGreaterThan(left);
    platform.openMapping('translated', { queue: 0, capacity: 4 }).dispose();
    platform.dispose();
    expect([bench.memory.allocated, bench.unit.read32(0x1c)]).toEqual([0, 0x4000_0000]);
  });
});

describe('a platform that cannot be opened', () => {
  it.each<readonly [string, object, string]>([
    ['after kexec', { takeover: 'kexec', invalidation: 'queued', interruptRemapping: true }, 'ERR_IOMMU_UNSUPPORTED'],
    ['after a crash', { takeover: 'kdump', invalidation: 'queued', interruptRemapping: true }, 'ERR_IOMMU_UNSUPPORTED'],
    ['with too many buffers', { takeover: 'kdump', formerOwner: { buffers: 5000 } }, 'ERR_DMA_EXHAUSTED'],
  ])('leaves nothing of the kernel before allocated: %s', (_, given, code) => {
    const options = intelIommuOptionsSchema.parse(given);
    const memory = new GuestMemory(new SharedArrayBuffer(16 * MIB));
    const child = container.createChildContainer();
    child.register(GUEST_MEMORY, { useValue: memory });
    child.register(VTD_FACILITY, { useValue: new MoodyVtd({ ...options.unit, memory }) });
    plugin.register(child, options);
    expect(() => child.resolve(PLATFORM)).toThrow(expect.objectContaining({ code }));
    expect(memory.allocated).toBe(0);
  });
});

describe('the options of a takeover', () => {
  it.each([
    [{ formerOwner: {} }, 'formerOwner', /no effect without takeover/],
    [{ takeover: 'reboot' }, 'takeover', /kexec/],
    [
      { takeover: 'kexec', formerOwner: { mode: 'scalable', invalidation: 'registers' } },
      'formerOwner.invalidation',
      /no invalidation by registers/,
    ],
    [
      { takeover: 'kexec', formerOwner: { interruptRemapping: true } },
      'formerOwner.interruptRemapping',
      /no register drops interrupt entries/,
    ],
    [{ takeover: 'kexec', formerOwner: { buffers: 0 } }, 'formerOwner.buffers', />=1/],
  ])('refuse %j', (options, path, message) => {
    const { error } = intelIommuOptionsSchema.safeParse(options);
    expect(error?.issues.map((issue) => [issue.path.join('.'), issue.message])).toEqual([
      [path, expect.stringMatching(message)],
    ]);
  });

  it('say where the unit has not what the former owner used, and where there is no room for it', () => {
    expect(() => leave({ takeover: 'kexec', formerOwner: { mode: 'scalable' } })).toThrow(
      expect.objectContaining({
        message: expect.stringMatching(/no scalable mode/),
        hint: expect.stringMatching(/^use platform\.formerOwner\.mode: legacy, /),
      }),
    );
    expect(() => leave({ takeover: 'kexec', ...REMAPPING_FORMER })).toThrow(
      expect.objectContaining({
        message: expect.stringMatching(/ECAP\.IR/),
        hint: expect.stringMatching(/^leave platform\.formerOwner\.interruptRemapping out, /),
      }),
    );
    const unit = { queuedInvalidation: false };
    expect(() => leave({ takeover: 'kexec', formerOwner: { invalidation: 'queued' }, unit })).toThrow(
      expect.objectContaining({ hint: 'use platform.formerOwner.invalidation: registers' }),
    );
    expect(() => leave({ takeover: 'kexec', formerOwner: { addressWidth: 57 } })).toThrow(
      expect.objectContaining({ hint: expect.stringMatching(/^change platform\.formerOwner\.addressWidth, /) }),
    );
    expect(() => leave({ takeover: 'kexec', formerOwner: { buffers: 5000 } })).toThrow(
      expect.objectContaining({ code: 'ERR_DMA_EXHAUSTED' }),
    );
  });
});
