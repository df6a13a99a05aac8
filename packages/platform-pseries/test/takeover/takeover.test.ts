import { FaultLog, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { DmaDirection, type DmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import {
  H_HARDWARE,
  H_SUCCESS,
  PseriesPlatform,
  pseriesOptionsSchema,
  type FormerWindows,
  type PseriesOptions,
} from '../../src/index.ts';
import { openAddressSpace } from '../../src/simulated/open-address-space.ts';
import { leaveTables } from '../../src/takeover/leave-tables.ts';
import { FORMER_OWNER } from '../../src/takeover/takeover-options.ts';
import { RefusingTceTables } from '../refusing-tce-tables.ts';

const MIB = 2 ** 20;
const PAGE = 4096;
const DEFAULT = 0x8000_0000;
const SECOND = 0x8000_0001;
/** High word of 2^59. */
const SECOND_HIGH = 0x0800_0000;

interface Bench {
  readonly memory: GuestMemory;
  readonly tables: RefusingTceTables;
  readonly former: FormerWindows;
  readonly space: DeviceAddressSpace;
  readonly faults: FaultLog;
  readonly options: PseriesOptions;
  takeOver(): PseriesPlatform;
}

/** A machine whose former kernel left its tables, and what the next one is started with. */
function leave(given: object, { pages = 4096, memoryBytes = 4 * MIB } = {}): Bench {
  const memory = new GuestMemory(new SharedArrayBuffer(memoryBytes));
  const options = pseriesOptionsSchema.parse({ window: { kind: 'default' }, ...given });
  const tables = new RefusingTceTables({
    memorySize: memory.size,
    defaultWindowSize: pages * PAGE,
    dynamicWindows: options.dynamicWindows,
  });
  const former = leaveTables(tables, memory, options.formerOwner ?? FORMER_OWNER, options.takeover!);
  const faults = new FaultLog();
  const space = openAddressSpace(memory, faults, { tables: tables.state, pages: undefined });
  const takeOver = (): PseriesPlatform => new PseriesPlatform(options, memory, { tables }, former);
  return { memory, tables, former, space, faults, options, takeOver };
}

function writes({ space }: Bench, low: number, high = 0): boolean {
  return space.write(low, high, new Uint8Array(16), 0, 16);
}

function entry({ tables }: Bench, page: number, liobn = DEFAULT, high = 0): number {
  const words = new Uint32Array(2);
  expect(tables.getTce(liobn, page * PAGE, high, words)).toBe(H_SUCCESS);
  return words[0]!;
}

/** Maps pages until the window is full, and returns where they are. */
function fill(mapping: DmaMapping): number[] {
  const words = new Uint32Array(2);
  const addresses: number[] = [];
  while (mapping.map(0x10_0000, PAGE, DmaDirection.FromDevice, words, 0) >= 0) addresses.push(words[0]!);
  return addresses;
}

describe('a kernel that was started by kexec', () => {
  it('clears what the kernel before mapped, before any queue is opened', () => {
    const bench = leave({ takeover: 'kexec', formerOwner: { buffers: 3 } });
    expect([0, 1, 2, 3, 4].map((page) => writes(bench, page * PAGE))).toEqual([false, true, true, true, false]);
    // The memory behind the entries is free, so the next owner gets it.
    expect(bench.memory.allocated).toBe(0);
    const platform = bench.takeOver();
    expect([1, 2, 3].map((page) => entry(bench, page))).toEqual([0, 0, 0]);
    expect(writes(bench, PAGE)).toBe(false);
    expect(bench.faults.entries.at(-1)).toMatchObject({ address: 0x1000n, access: 'write', cause: 'unmapped' });
    expect(fill(platform.openMapping('translated', { queue: 0, capacity: 8192 }))).toHaveLength(4095);
  });

  it('does not start over entries that are not cleared, except where Linux only prints it', () => {
    const refused = leave({ takeover: 'kexec' });
    refused.tables.clearStatus = H_HARDWARE;
    expect(() => refused.takeOver()).toThrow(
      expect.objectContaining({
        code: 'ERR_DMA_WINDOW',
        message: expect.stringMatching(/answers -1 while .* cleared/),
      }),
    );
    const printed = leave({ takeover: 'kexec', onHypercallError: 'linux' });
    printed.tables.clearStatus = H_HARDWARE;
    printed.takeOver();
    expect(writes(printed, PAGE)).toBe(true);
  });

  it.each([
    ['of the same pages, dynamic', { mapping: 'dynamic', pageSize: '64KiB' }, { mapping: 'dynamic' }, 'used on'],
    ['of the same pages, linear over dynamic', { mapping: 'linear' }, { mapping: 'dynamic' }, 'used on'],
    ['of other pages', { mapping: 'linear', pageSize: '2MiB' }, { mapping: 'linear' }, 'removed'],
    ['for the default one', { kind: 'default' }, { mapping: 'linear' }, 'removed'],
  ] as const)('uses a 64-bit window on or removes it: %s', (_, window, formerWindow, done) => {
    const bench = leave({ takeover: 'kexec', window, formerOwner: { window: { kind: 'ddw', ...formerWindow } } });
    expect([bench.former.dynamic?.liobn, bench.former.isDefaultRemoved]).toEqual([SECOND, false]);
    expect(writes(bench, 0, SECOND_HIGH)).toBe(true);
    const platform = bench.takeOver();
    expect(writes(bench, 0, SECOND_HIGH)).toBe(false);
    expect(bench.tables.queryWindows().available).toBe(done === 'removed' ? 1 : 0);
    const path = platform.traits.mappedPath;
    const mapping = platform.openMapping(path, { queue: 0, capacity: 4 });
    const words = new Uint32Array(2);
    mapping.map(0x10_0000, 64, DmaDirection.FromDevice, words, 0);
    expect(writes(bench, words[0]!, words[1])).toBe(true);
    mapping.dispose();
    platform.dispose();
    expect(bench.tables.queryWindows().available).toBe(1);
  });

  it.each(['default', 'ddw'])('gets window %s where the kernel before had replaced the default one', (kind) => {
    const window = kind === 'default' ? { kind } : { kind, pageSize: '2MiB' };
    const formerOwner = { window: { kind: 'ddw' } };
    const bench = leave({ takeover: 'kexec', window, formerOwner, dynamicWindows: 'replace' });
    expect(bench.former).toMatchObject({ isDefaultRemoved: true, dynamic: { liobn: DEFAULT, base: 0n } });
    expect(writes(bench, 0x10_0000)).toBe(true);
    const platform = bench.takeOver();
    expect(writes(bench, 0x10_0000)).toBe(false);
    const words = new Uint32Array(2);
    const mapping = platform.openMapping(platform.traits.mappedPath, { queue: 0, capacity: 4 });
    mapping.map(0x10_0000, 64, DmaDirection.FromDevice, words, 0);
    expect(writes(bench, words[0]!, words[1])).toBe(true);
  });
});

describe('a kernel after a crash', () => {
  it('maps beside what is held, and changes none of it', () => {
    const bench = leave({ takeover: 'kdump', formerOwner: { buffers: 5 } });
    expect(bench.memory.allocated).toBe(5 * PAGE);
    const before = [1, 2, 3, 4, 5].map((page) => entry(bench, page));
    const platform = bench.takeOver();
    const mapping = platform.openMapping('translated', { queue: 0, capacity: 8192 });
    const taken = fill(mapping);
    expect(Math.min(...taken)).toBe(6 * PAGE);
    expect(taken).toHaveLength(4096 - 6);
    expect(writes(bench, PAGE)).toBe(true);
    mapping.dispose();
    platform.dispose();
    expect([1, 2, 3, 4, 5].map((page) => entry(bench, page))).toEqual(before);
    expect(bench.memory.allocated).toBe(0);
  });

  it('clears the last 2048 entries of a table with fewer free ones', () => {
    const bench = leave({ takeover: 'kdump', formerOwner: { buffers: 3900 } }, { memoryBytes: 32 * MIB });
    const platform = bench.takeOver();
    expect([writes(bench, 2047 * PAGE), writes(bench, 2048 * PAGE), writes(bench, 3900 * PAGE)]).toEqual([
      true,
      false,
      false,
    ]);
    const taken = fill(platform.openMapping('translated', { queue: 0, capacity: 8192 }));
    expect([taken.length, Math.min(...taken)]).toEqual([2048, 2048 * PAGE]);
  });

  it('does not start where an entry cannot be read', () => {
    const bench = leave({ takeover: 'kdump' });
    bench.tables.getTce = () => H_HARDWARE;
    expect(() => bench.takeOver()).toThrow(/does not tell entry 0 of the former owner/);
  });

  it('maps in the 64-bit window that is there, and leaves it', () => {
    const window = { kind: 'ddw', mapping: 'dynamic' };
    const bench = leave({ takeover: 'kdump', window, formerOwner: { window, buffers: 2 } });
    const platform = bench.takeOver();
    const mapping = platform.openMapping('translated', { queue: 0, capacity: 4 });
    const words = new Uint32Array(2);
    mapping.map(0x10_0000, 64, DmaDirection.FromDevice, words, 0);
    expect([...words]).toEqual([2 * 0x1_0000, SECOND_HIGH]);
    mapping.dispose();
    platform.dispose();
    expect([writes(bench, 0, SECOND_HIGH), bench.tables.queryWindows().available]).toEqual([true, 0]);
  });

  it('uses one that maps all of memory as it is', () => {
    const window = { kind: 'ddw', mapping: 'linear' };
    const bench = leave({ takeover: 'kdump', window, formerOwner: { window } });
    const { traits } = bench.takeOver();
    expect(traits).toMatchObject({ mappedPath: 'linear', identityVerified: false });
    expect(writes(bench, 4 * MIB - 16, SECOND_HIGH)).toBe(true);
  });

  it.each([
    [{ kind: 'ddw', mapping: 'linear' }, { kind: 'ddw', mapping: 'dynamic' }, /entry 1 of the window that is held/],
    [{ kind: 'ddw', mapping: 'dynamic', pageSize: '2MiB' }, { kind: 'ddw' }, /has pages of 64KiB/],
  ])('does not get window %j over %j', (window, formerWindow, message) => {
    const bench = leave({ takeover: 'kdump', window, formerOwner: { window: formerWindow, buffers: 2 } });
    expect(() => bench.takeOver().openMapping('linear', { queue: 0, capacity: 4 })).toThrow(
      expect.objectContaining({ code: 'ERR_DMA_WINDOW', message: expect.stringMatching(message) }),
    );
  });

  it('does not get a default window that was removed', () => {
    const formerOwner = { window: { kind: 'ddw' } };
    const bench = leave({ takeover: 'kdump', formerOwner, dynamicWindows: 'replace' });
    expect(() => bench.takeOver()).toThrow(/removed the default window/);
  });
});

describe('the options of a takeover', () => {
  it.each([
    [{ formerOwner: {} }, 'formerOwner', /no effect without takeover/],
    [{ takeover: 'kexec', secure: true }, 'takeover', /secure guest unshares/],
    [{ takeover: 'kdump', window: { kind: 'default', mapping: 'identity' } }, 'takeover', /cannot become the identity/],
    [{ takeover: 'kexec', formerOwner: { window: { mapping: 'identity' } } }, 'formerOwner.window.mapping', /ddw/],
    [{ takeover: 'kexec', formerOwner: { buffers: 0 } }, 'formerOwner.buffers', />=1/],
  ])('refuse %j', (options, path, message) => {
    const { error } = pseriesOptionsSchema.safeParse(options);
    expect(error?.issues.map((issue) => [issue.path.join('.'), issue.message])).toEqual([
      [path, expect.stringMatching(message)],
    ]);
  });

  it('say where the former owner has no room', () => {
    expect(() => leave({ takeover: 'kexec', formerOwner: { buffers: 16 } }, { pages: 16 })).toThrow(
      expect.objectContaining({
        code: 'ERR_DMA_WINDOW',
        hint: expect.stringContaining('platform.formerOwner.buffers'),
      }),
    );
  });
});
