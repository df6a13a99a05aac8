import { DmaDirection } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import {
  H_FUNCTION,
  H_HARDWARE,
  H_PARAMETER,
  H_SUCCESS,
  PseriesPlatform,
  pseriesOptionsSchema,
  SimulatedTceTables,
  TceWindow,
  type SimulatedTceOptions,
} from '../src/index.ts';
import { simulatePseries } from '../src/simulated/simulate-pseries.ts';
import { TCE_FACILITY } from '../src/tce-facility.ts';

const MIB = 2 ** 20;
const PAGE = 4096;
const LIOBN = 0x8000_0000;

/** Counts the hypercalls that change a table, and refuses the nth H_PUT_TCE. */
class CountingTables extends SimulatedTceTables {
  calls = { put: 0, indirect: 0, stuff: 0 };
  refused: readonly number[] = [];

  override putTce(liobn: number, low: number, high: number, tceLow: number, tceHigh: number): number {
    if (this.refused.includes(++this.calls.put)) return H_HARDWARE;
    return super.putTce(liobn, low, high, tceLow, tceHigh);
  }

  override putTceIndirect(liobn: number, low: number, high: number, list: Uint32Array, count: number): number {
    this.calls.indirect++;
    return super.putTceIndirect(liobn, low, high, list, count);
  }

  override stuffTce(liobn: number, low: number, high: number, tceLow: number, tceHigh: number, count: number): number {
    this.calls.stuff++;
    return super.stuffTce(liobn, low, high, tceLow, tceHigh, count);
  }
}

function tablesWith(options: Partial<SimulatedTceOptions>): CountingTables {
  return new CountingTables({ memorySize: MIB, defaultWindowSize: 16 * PAGE, ...options });
}

function entries(tables: SimulatedTceTables, count: number, base = 0): number[] {
  const words = new Uint32Array(2);
  return Array.from({ length: count }, (_, page) => {
    expect(tables.getTce(LIOBN, base + page * PAGE, 0, words)).toBe(H_SUCCESS);
    return words[0]!;
  });
}

function simulated(options: object): { readonly memory: GuestMemory; readonly tables: SimulatedTceTables } {
  const memory = new GuestMemory(new SharedArrayBuffer(4 * MIB));
  const { facilities } = simulatePseries(memory, pseriesOptionsSchema.parse(options));
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what simulatePseries provides
  return { memory, tables: facilities.get(TCE_FACILITY) as SimulatedTceTables };
}

describe('a firmware without hcall-multi-tce', () => {
  it('answers H_FUNCTION to the calls on several entries', () => {
    const tables = tablesWith({ multiTce: false });
    expect(tables.multiTce).toBe(false);
    expect(tables.putTceIndirect(LIOBN, 0, 0, Uint32Array.of(3, 0), 1)).toBe(H_FUNCTION);
    expect(tables.stuffTce(LIOBN, 0, 0, 3, 0, 1)).toBe(H_FUNCTION);
    expect(tables.putTce(LIOBN, 0, 0, 3, 0)).toBe(H_SUCCESS);
    expect(entries(tables, 2)).toEqual([3, 0]);
  });

  it.each([
    ['lacks the calls', { multiTce: false }, {}],
    ['has them, and the guest does not use them', {}, { multiTce: false }],
  ])('gets one H_PUT_TCE for each entry where it %s', (_, firmware, guest) => {
    const tables = tablesWith(firmware);
    const window = new TceWindow(tables, tables.defaultWindow, guest);
    expect(window.put(2, 3, 0x8000, 3)).toBe(H_SUCCESS);
    expect(entries(tables, 6)).toEqual([0, 0, 0x8003, 0x9003, 0xa003, 0]);
    expect(window.clear(2, 3)).toBe(H_SUCCESS);
    expect(entries(tables, 6)).toEqual([0, 0, 0, 0, 0, 0]);
    expect(tables.calls).toEqual({ put: 6, indirect: 0, stuff: 0 });
  });

  it('stops at the entry that is refused, and clears all but what is refused three times', () => {
    const tables = tablesWith({ multiTce: false });
    const window = new TceWindow(tables, tables.defaultWindow);
    tables.refused = [3];
    expect(window.put(0, 4, 0x8000, 3)).toBe(H_HARDWARE);
    expect(entries(tables, 4)).toEqual([0x8003, 0x9003, 0, 0]);
    tables.refused = [];
    expect(window.put(0, 4, 0x8000, 3)).toBe(H_SUCCESS);
    tables.calls.put = 0;
    // The second entry is refused three times, the third once.
    tables.refused = [2, 3, 4, 5];
    expect(window.clear(0, 4)).toBe(H_HARDWARE);
    expect(entries(tables, 4)).toEqual([0, 0x9003, 0, 0]);
  });

  it.each(['default', 'ddw'])('maps and takes back buffers in a window of kind %s', (kind) => {
    const memory = new GuestMemory(new SharedArrayBuffer(4 * MIB));
    const tables = tablesWith({ memorySize: memory.size, multiTce: false, defaultWindowSize: 64 * PAGE });
    const options = pseriesOptionsSchema.parse({ window: { kind, mapping: 'dynamic', pageSize: '4KiB' } });
    const platform = new PseriesPlatform(options, memory, { tables });
    const mapping = platform.openMapping('translated', { queue: 0, capacity: 4 });
    const words = new Uint32Array(2);
    const id = mapping.map(0x10_0800, 2 * PAGE, DmaDirection.ToDevice, words, 0);
    expect([id >= 0, mapping.resolve!(words[0]!, words[1]!)]).toEqual([true, 0x10_0800]);
    mapping.unmap(id, 0);
    expect(mapping.resolve!(words[0]!, words[1]!)).toBe(-1);
    expect(tables.calls).toEqual({ put: 6, indirect: 0, stuff: 0 });
    mapping.dispose();
    platform.dispose();
  });
});

describe('windows elsewhere', () => {
  const BASE = 0x4000_0000;

  it('begin where the firmware says, and have the page sizes that it has', () => {
    const { tables } = simulated({
      defaultWindowAddress: BASE,
      defaultWindowSize: '64KiB',
      dynamicWindowAddress: 0x1_0000_0000,
      pageSizes: ['4KiB', '2MiB'],
    });
    expect(tables.defaultWindow).toEqual({ liobn: LIOBN, base: BigInt(BASE), size: 0x1_0000, pageShift: 12 });
    expect(tables.putTce(LIOBN, BASE, 0, 3, 0)).toBe(H_SUCCESS);
    expect(tables.putTce(LIOBN, 0, 0, 3, 0)).toBe(H_PARAMETER);
    expect(tables.queryWindows().pageShifts).toEqual([12, 21]);
    expect(tables.createWindow(12, 20).window).toMatchObject({ base: 2n ** 32n });
  });

  it('give the default window no identity, unless it begins at 0', () => {
    const window = { kind: 'default', mapping: 'identity' };
    const { memory, tables } = simulated({ defaultWindowAddress: BASE });
    const platform = new PseriesPlatform(pseriesOptionsSchema.parse({ window }), memory, { tables });
    expect(() => platform.traits).toThrow(
      expect.objectContaining({ code: 'ERR_DMA_WINDOW', message: expect.stringMatching(/begins at bus address 0x4/) }),
    );
    expect(entries(tables, 4, BASE)).toEqual([0, 0, 0, 0]);
  });

  it('use their first page, which a ring may not have at bus address 0', () => {
    const { memory, tables } = simulated({ defaultWindowAddress: BASE, defaultWindowSize: '64KiB' });
    const window = { kind: 'default' };
    const platform = new PseriesPlatform(pseriesOptionsSchema.parse({ window }), memory, { tables });
    const words = new Uint32Array(2);
    platform.openMapping('translated', { queue: 0, capacity: 4 }).map(0, 64, DmaDirection.ToDevice, words, 0);
    expect([...words]).toEqual([BASE, 0]);
  });

  it('end below 2^64', () => {
    const { error } = pseriesOptionsSchema.safeParse({ defaultWindowAddress: 2n ** 64n - 4096n });
    expect(error?.issues.map(({ path, message }) => [path, message])).toEqual([
      [['defaultWindowAddress'], 'the window ends beyond 64 bits'],
    ]);
  });

  it.each([
    [{ defaultWindowAddress: 1 }, 'defaultWindowAddress', /multiple of 0x1000/],
    [{ dynamicWindowAddress: 0x3fff_f000 }, 'dynamicWindowAddress', /can begin at 0x40000000/],
    [{ pageSizes: [] }, 'pageSizes', />=1/],
    [{ pageSizes: ['8KiB'] }, 'pageSizes.0', /must be one of 4KiB, 64KiB, 2MiB, 16MiB/],
  ])('refuse %j', (options, path, message) => {
    const { error } = pseriesOptionsSchema.safeParse(options);
    expect(error?.issues.map((issue) => [issue.path.join('.'), issue.message])).toEqual([
      [path, expect.stringMatching(message)],
    ]);
  });
});
