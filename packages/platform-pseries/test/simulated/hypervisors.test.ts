import { describe, expect, it } from 'vitest';
import { H_PARAMETER, H_SUCCESS, SimulatedTceTables, type Hypervisor } from '../../src/index.ts';

const MIB = 2 ** 20;
const PAGE = 4096;
const LIOBN = 0x8000_0000;
const PAGES = 16;
/** The first page behind the memory, with a permission. */
const BEYOND_MEMORY = MIB | 3;

type Call = (tables: SimulatedTceTables) => number;

function openTables(hypervisor: Hypervisor): SimulatedTceTables {
  return new SimulatedTceTables({ memorySize: MIB, defaultWindowSize: PAGES * PAGE, hypervisor });
}

/** The low words of all entries that are not 0, by page. */
function written(tables: SimulatedTceTables): Record<number, number> {
  const words = new Uint32Array(2);
  const entries: Record<number, number> = {};
  for (let page = 0; page < PAGES; page++) {
    expect(tables.getTce(LIOBN, page * PAGE, 0, words)).toBe(H_SUCCESS);
    if (words[0] !== 0) entries[page] = words[0]!;
  }
  return entries;
}

function list(...lows: number[]): Uint32Array {
  return new Uint32Array(lows.flatMap((low) => [low, 0]));
}

const put = (ioba: number, low: number, liobn = LIOBN, high = 0): Call => {
  return (tables) => tables.putTce(liobn, ioba, high, low, 0);
};
const indirect = (ioba: number, lows: number[], count = lows.length): Call => {
  return (tables) => tables.putTceIndirect(LIOBN, ioba, 0, list(...lows), count);
};
const stuff = (ioba: number, low: number, count: number): Call => {
  return (tables) => tables.stuffTce(LIOBN, ioba, 0, low, 0, count);
};
const get = (ioba: number, liobn = LIOBN): Call => {
  return (tables) => tables.getTce(liobn, ioba, 0, new Uint32Array(2));
};
const many = Array<number>(513).fill(0x1003);

/** What each hypervisor answers, and which entries are there afterwards. */
const ROWS: readonly [name: string, call: Call, qemu: [number, object], kvm: [number, object]][] = [
  ['PUT of a page', put(0x3000, 0x5003), [H_SUCCESS, { 3: 0x5003 }], [H_SUCCESS, { 3: 0x5003 }]],
  ['PUT inside a page', put(0x3010, 0x5003), [H_SUCCESS, { 3: 0x5003 }], [H_PARAMETER, {}]],
  ['PUT of reserved bits', put(0x3000, 0x5c03), [H_SUCCESS, { 3: 0x5c03 }], [H_PARAMETER, {}]],
  ['PUT beyond memory', put(0x3000, BEYOND_MEMORY), [H_SUCCESS, { 3: BEYOND_MEMORY }], [H_PARAMETER, {}]],
  ['PUT of poison without permission', put(0x3000, 0xbad0), [H_SUCCESS, { 3: 0xbad0 }], [H_SUCCESS, { 3: 0xbad0 }]],
  ['PUT behind the window', put(0x1_0000, 0x5003), [H_PARAMETER, {}], [H_PARAMETER, {}]],
  ['PUT far behind the window', put(0, 0x5003, LIOBN, 1), [H_PARAMETER, {}], [H_PARAMETER, {}]],
  ['PUT in an unknown table', put(0, 0x5003, LIOBN + 9), [H_PARAMETER, {}], [H_PARAMETER, {}]],
  ['PUT in a table of 33 bits', put(0, 0x5003, 2 ** 32 + LIOBN), [H_PARAMETER, {}], [H_PARAMETER, {}]],
  ['GET of a page', get(0x3000), [H_SUCCESS, {}], [H_SUCCESS, {}]],
  ['GET inside a page', get(0x3010), [H_SUCCESS, {}], [H_PARAMETER, {}]],
  ['GET behind the window', get(0x1_0000), [H_PARAMETER, {}], [H_PARAMETER, {}]],
  ['GET from an unknown table', get(0, 7), [H_PARAMETER, {}], [H_PARAMETER, {}]],
  [
    'INDIRECT of a list',
    indirect(0, [0x1003, 0x2003]),
    [H_SUCCESS, { 0: 0x1003, 1: 0x2003 }],
    [H_SUCCESS, { 0: 0x1003, 1: 0x2003 }],
  ],
  ['INDIRECT of nothing', indirect(0, [0x1003], 0), [H_PARAMETER, {}], [H_SUCCESS, {}]],
  ['INDIRECT of 513', indirect(0, many), [H_PARAMETER, {}], [H_PARAMETER, {}]],
  ['INDIRECT of more than the list has', indirect(0, [0x1003], 2), [H_PARAMETER, {}], [H_PARAMETER, {}]],
  ['INDIRECT across the end', indirect(0xf000, [0x1003, 0x2003]), [H_PARAMETER, { 15: 0x1003 }], [H_PARAMETER, {}]],
  ['INDIRECT inside a page', indirect(0x1010, [0x1003]), [H_SUCCESS, { 1: 0x1003 }], [H_PARAMETER, {}]],
  [
    'INDIRECT with a bad entry at the end',
    indirect(0, [0x1003, BEYOND_MEMORY]),
    [H_SUCCESS, { 0: 0x1003, 1: BEYOND_MEMORY }],
    [H_PARAMETER, {}],
  ],
  ['STUFF of nothing', stuff(0, 0xbad0, 0), [H_PARAMETER, {}], [H_SUCCESS, {}]],
  ['STUFF of more than the table', stuff(0, 0xbad0, 17), [H_PARAMETER, {}], [H_PARAMETER, {}]],
  ['STUFF across the end', stuff(0xf000, 0xbad0, 2), [H_PARAMETER, { 15: 0xbad0 }], [H_PARAMETER, {}]],
  ['STUFF inside a page', stuff(0x1010, 0xbad0, 1), [H_SUCCESS, { 1: 0xbad0 }], [H_PARAMETER, {}]],
  ['STUFF of permissions', stuff(0x1000, 0x5003, 1), [H_SUCCESS, { 1: 0x5003 }], [H_PARAMETER, {}]],
  ['STUFF of poison', stuff(0x1000, 0xbad0, 1), [H_SUCCESS, { 1: 0xbad0 }], [H_SUCCESS, { 1: 0xbad0 }]],
];

describe.each(['qemu', 'kvm'] as const)('the hypercalls of %s', (hypervisor) => {
  it.each(ROWS)('answer an H_%s like the real hypervisor', (_name, call, qemu, kvm) => {
    const tables = openTables(hypervisor);
    const [status, entries] = hypervisor === 'qemu' ? qemu : kvm;
    expect([call(tables), written(tables)]).toEqual([status, entries]);
  });
});

describe('the strict hypervisor', () => {
  it('requires bus addresses and targets at page starts, for every page size', () => {
    const tables = new SimulatedTceTables({ memorySize: 64 * MIB, defaultWindowSize: PAGE, hypervisor: 'kvm' });
    const { window } = tables.createWindow(24, 26);
    const { liobn } = window!;
    const high = 0x0800_0000;
    expect(tables.putTce(liobn, 0x100_0000, high, 0x200_0003, 0)).toBe(H_SUCCESS);
    expect(tables.putTce(liobn, 0x100_1000, high, 0x200_0003, 0)).toBe(H_PARAMETER);
    expect(tables.putTce(liobn, 0x100_0000, high, 0x200_1003, 0)).toBe(H_PARAMETER);
    expect(tables.putTce(liobn, 0x100_0000, high, 3, 1)).toBe(H_PARAMETER);
  });
});
