import { describe, expect, it } from 'vitest';
import {
  H_PARAMETER,
  H_SUCCESS,
  RTAS_HARDWARE_ERROR,
  RTAS_PARAMETER_ERROR,
  RTAS_SUCCESS,
  SimulatedTceTables,
  TCE_READ,
  TCE_WRITE,
} from '../../src/index.ts';

const MIB = 2 ** 20;
const LIOBN = 0x8000_0000;
const DDW_HIGH = 0x0800_0000;
/** Sixteen pages of 4 KiB. */
const SMALL = { memorySize: MIB, defaultWindowSize: 0x1_0000 };

function entry(tables: SimulatedTceTables, low: number, high = 0, liobn = LIOBN): [number, number] {
  const words = new Uint32Array(2);
  expect(tables.getTce(liobn, low, high, words)).toBe(H_SUCCESS);
  return [words[0]!, words[1]!];
}

/** Whether the generation is another after `act`. */
function changes(tables: SimulatedTceTables, act: () => void): boolean {
  const generation = new Uint32Array(tables.state.registers);
  const before = generation[0];
  act();
  return generation[0] !== before;
}

describe('the hypercalls of SimulatedTceTables', () => {
  it('store an entry verbatim, with its reserved bits', () => {
    const tables = new SimulatedTceTables(SMALL);
    expect(tables.putTce(LIOBN, 0x3000, 0, 0xabcd_ec03, 0x1234_5678)).toBe(H_SUCCESS);
    expect(entry(tables, 0x3000)).toEqual([0xabcd_ec03, 0x1234_5678]);
  });

  it('round a misaligned bus address down', () => {
    const tables = new SimulatedTceTables(SMALL);
    expect(tables.putTce(LIOBN, 0x3fff, 0, 0x5003, 0)).toBe(H_SUCCESS);
    expect(entry(tables, 0x3000)).toEqual([0x5003, 0]);
    expect(entry(tables, 0x3abc)).toEqual([0x5003, 0]);
  });

  it.each([
    ['behind the window', LIOBN, 0x1_0000, 0],
    ['far behind the window', LIOBN, 0, 0xffff_ffff],
    ['in an unknown table', LIOBN + 7, 0, 0],
    ['in a table that is not enabled', LIOBN + 1, 0, DDW_HIGH],
    ['in a table below the first', 3, 0, 0],
  ])('answer H_PARAMETER %s', (_where, liobn, low, high) => {
    const tables = new SimulatedTceTables(SMALL);
    const words = new Uint32Array([7, 7]);
    expect(tables.putTce(liobn, low, high, 1, 0)).toBe(H_PARAMETER);
    expect(tables.putTceIndirect(liobn, low, high, new Uint32Array(2), 1)).toBe(H_PARAMETER);
    expect(tables.stuffTce(liobn, low, high, 0, 0, 1)).toBe(H_PARAMETER);
    expect(tables.getTce(liobn, low, high, words)).toBe(H_PARAMETER);
    expect([...words]).toEqual([7, 7]);
  });

  it('answer H_PARAMETER below a window that does not begin at 0', () => {
    const tables = new SimulatedTceTables(SMALL);
    const { window } = tables.createWindow(16, 20);
    expect(tables.putTce(window!.liobn, 0xffff_f000, DDW_HIGH - 1, 1, 0)).toBe(H_PARAMETER);
    expect(tables.putTce(window!.liobn, 0, DDW_HIGH, 1, 0)).toBe(H_SUCCESS);
  });

  it('keep the entries before the one that fails in H_PUT_TCE_INDIRECT', () => {
    const tables = new SimulatedTceTables(SMALL);
    const list = new Uint32Array([0x1003, 0, 0x2003, 0, 0x3003, 0]);
    expect(tables.putTceIndirect(LIOBN, 0xe000, 0, list, 3)).toBe(H_PARAMETER);
    expect(entry(tables, 0xe000)).toEqual([0x1003, 0]);
    expect(entry(tables, 0xf000)).toEqual([0x2003, 0]);
  });

  it.each([0, 513, -1, Number.NaN])('answer H_PARAMETER to a list of %s entries', (count) => {
    const tables = new SimulatedTceTables({ ...SMALL, defaultWindowSize: 16 * MIB });
    expect(tables.putTceIndirect(LIOBN, 0, 0, new Uint32Array(2048).fill(3), count)).toBe(H_PARAMETER);
    expect(entry(tables, 0)).toEqual([0, 0]);
  });

  it('take a list of 512', () => {
    const tables = new SimulatedTceTables({ ...SMALL, defaultWindowSize: 16 * MIB });
    expect(tables.putTceIndirect(LIOBN, 0, 0, new Uint32Array(1024).fill(3), 512)).toBe(H_SUCCESS);
    expect(entry(tables, 511 * 4096)).toEqual([3, 3]);
    expect(entry(tables, 512 * 4096)).toEqual([0, 0]);
  });

  it('apply the part of an H_STUFF_TCE inside the window, and refuse 0 entries and more than the table has', () => {
    const tables = new SimulatedTceTables(SMALL);
    expect(tables.stuffTce(LIOBN, 0, 0, 0x9003, 0, 0)).toBe(H_PARAMETER);
    expect(tables.stuffTce(LIOBN, 0, 0, 0x9003, 0, 17)).toBe(H_PARAMETER);
    expect(entry(tables, 0)).toEqual([0, 0]);
    expect(tables.stuffTce(LIOBN, 0xf000, 0, 0x9003, 0, 2)).toBe(H_PARAMETER);
    expect(entry(tables, 0xf000)).toEqual([0x9003, 0]);
    expect(tables.stuffTce(LIOBN, 0, 0, 0x7001, 0, 16)).toBe(H_SUCCESS);
    expect(entry(tables, 0xf000)).toEqual([0x7001, 0]);
  });
});

describe('the generation of SimulatedTceTables', () => {
  it.each([
    ['a first permission', 0, 0x5001, false],
    ['a further permission', 0x5001, 0x5003, false],
    ['the same again', 0x5003, 0x5003, false],
    ['a lost permission', 0x5003, 0x5001, true],
    ['all permissions lost', 0x5002, 0, true],
    ['another page', 0x5001, 0x6001, true],
    ['an address without permission replaced', 0x5000, 0x6003, false],
  ])('after %s (%i to %i) changes: %s', (_what, from, to, expected) => {
    const tables = new SimulatedTceTables(SMALL);
    tables.putTce(LIOBN, 0, 0, from, 0);
    expect(changes(tables, () => tables.putTce(LIOBN, 0, 0, to, 0))).toBe(expected);
    tables.putTce(LIOBN, 0x2000, 0, from, 0);
    expect(changes(tables, () => tables.stuffTce(LIOBN, 0x1000, 0, to, 0, 2))).toBe(expected);
    tables.putTce(LIOBN, 0x4000, 0, from, 0);
    const list = new Uint32Array([0, 0, to, 0]);
    expect(changes(tables, () => tables.putTceIndirect(LIOBN, 0x3000, 0, list, 2))).toBe(expected);
  });

  it('changes when a window is removed', () => {
    const tables = new SimulatedTceTables(SMALL);
    const { window } = tables.createWindow(12, 16);
    expect(changes(tables, () => tables.removeWindow(window!.liobn))).toBe(true);
  });
});

describe('the windows of SimulatedTceTables', () => {
  it('are at most two, the second at 2^59', () => {
    const tables = new SimulatedTceTables(SMALL);
    expect(tables.queryWindows()).toMatchObject({ status: RTAS_SUCCESS, available: 1, pageShifts: [12, 16, 21, 24] });
    const { window } = tables.createWindow(16, 20);
    expect(window).toEqual({ liobn: LIOBN + 1, base: 0x0800_0000_0000_0000n, size: MIB, pageShift: 16 });
    expect(tables.queryWindows().available).toBe(0);
    expect(tables.createWindow(16, 20)).toEqual({ status: RTAS_HARDWARE_ERROR });
  });

  it('answer a parameter error to an unsupported page size, also without a free window', () => {
    const tables = new SimulatedTceTables(SMALL);
    expect(tables.createWindow(13, 20)).toEqual({ status: RTAS_PARAMETER_ERROR });
    expect(tables.createWindow(16, 15)).toEqual({ status: RTAS_PARAMETER_ERROR });
    tables.createWindow(16, 20);
    expect(tables.createWindow(13, 20)).toEqual({ status: RTAS_PARAMETER_ERROR });
  });

  it('have a bounded table, as the query says', () => {
    const tables = new SimulatedTceTables(SMALL);
    const shift = Math.log2(tables.queryWindows().maxEntries);
    expect(tables.createWindow(12, 12 + shift + 1)).toEqual({ status: RTAS_HARDWARE_ERROR });
    expect(tables.createWindow(12, 64)).toEqual({ status: RTAS_HARDWARE_ERROR });
    expect(tables.createWindow(12, 12 + shift).status).toBe(RTAS_SUCCESS);
    expect(new SimulatedTceTables({ ...SMALL, memorySize: 2 ** 40 }).queryWindows().maxEntries).toBe(2 ** 22);
  });

  it('are created at bus address 0 when no other exists, and are not the default one then', () => {
    const tables = new SimulatedTceTables(SMALL);
    expect(tables.removeWindow(LIOBN)).toBe(RTAS_SUCCESS);
    expect(tables.removeWindow(LIOBN)).toBe(RTAS_PARAMETER_ERROR);
    expect(tables.queryWindows().available).toBe(2);
    const { window } = tables.createWindow(16, 24);
    expect(window).toEqual({ liobn: LIOBN, base: 0n, size: 16 * MIB, pageShift: 16 });
    expect(tables.removeWindow(LIOBN)).toBe(RTAS_SUCCESS);
    expect(tables.putTce(LIOBN, 0xf000, 0, 1, 0)).toBe(H_SUCCESS);
    expect(tables.putTce(LIOBN, 0x1_0000, 0, 1, 0)).toBe(H_PARAMETER);
  });

  it('restore the default one when the last other one is removed', () => {
    const tables = new SimulatedTceTables(SMALL);
    const { window } = tables.createWindow(16, 20);
    tables.putTce(LIOBN, 0, 0, 0x5003, 0);
    tables.removeWindow(LIOBN);
    expect(tables.putTce(LIOBN, 0, 0, 1, 0)).toBe(H_PARAMETER);
    expect(tables.removeWindow(window!.liobn)).toBe(RTAS_SUCCESS);
    expect(entry(tables, 0)).toEqual([0, 0]);
    expect(tables.queryWindows().available).toBe(1);
  });

  it('never overlap', () => {
    const tables = new SimulatedTceTables(SMALL);
    tables.createWindow(16, 20);
    tables.removeWindow(LIOBN);
    expect(tables.createWindow(16, 20)).toEqual({ status: RTAS_HARDWARE_ERROR });
  });

  it('begin empty after another had the same table', () => {
    const tables = new SimulatedTceTables(SMALL);
    const first = tables.createWindow(16, 20).window!;
    tables.putTce(first.liobn, 0, DDW_HIGH, TCE_READ | TCE_WRITE, 0);
    tables.removeWindow(first.liobn);
    const second = tables.createWindow(12, 20).window!;
    expect(entry(tables, 0, DDW_HIGH, second.liobn)).toEqual([0, 0]);
  });

  it('are the empty default one alone after a reset', () => {
    const tables = new SimulatedTceTables(SMALL);
    tables.putTce(LIOBN, 0, 0, 0x5003, 0);
    const { window } = tables.createWindow(16, 20);
    expect(changes(tables, () => expect(tables.resetWindows()).toBe(RTAS_SUCCESS))).toBe(true);
    expect(tables.putTce(window!.liobn, 0, DDW_HIGH, 1, 0)).toBe(H_PARAMETER);
    expect(entry(tables, 0)).toEqual([0, 0]);
  });

  it('do not exist after the default one was removed last, until a reset', () => {
    const tables = new SimulatedTceTables(SMALL);
    const { window } = tables.createWindow(16, 20);
    tables.removeWindow(window!.liobn);
    tables.removeWindow(LIOBN);
    expect(tables.queryWindows().available).toBe(2);
    expect(tables.resetWindows()).toBe(RTAS_SUCCESS);
    expect(tables.putTce(LIOBN, 0, 0, 1, 0)).toBe(H_SUCCESS);
  });

  it.each([4, -1, 0.5, Number.NaN])('of number %s are unknown to a removal', (number) => {
    expect(new SimulatedTceTables(SMALL).removeWindow(LIOBN + number)).toBe(RTAS_PARAMETER_ERROR);
  });

  it.each([
    ['4KiB', 12],
    ['64KiB', 16],
    ['2MiB', 21],
    ['16MiB', 24],
  ])('have pages of %s', (_size, pageShift) => {
    const tables = new SimulatedTceTables({ ...SMALL, memorySize: 64 * MIB });
    const { window } = tables.createWindow(pageShift, pageShift + 2);
    expect(window).toMatchObject({ pageShift, size: 4 * 2 ** pageShift });
    expect(tables.putTce(window!.liobn, 3 * 2 ** pageShift, DDW_HIGH, 3, 0)).toBe(H_SUCCESS);
    expect(tables.putTce(window!.liobn, 4 * 2 ** pageShift, DDW_HIGH, 3, 0)).toBe(H_PARAMETER);
  });

  it('are at most one where a new one replaces the default one', () => {
    const tables = new SimulatedTceTables({ ...SMALL, dynamicWindows: 'replace' });
    expect(tables.queryWindows()).toMatchObject({ status: RTAS_SUCCESS, available: 0 });
    expect(tables.createWindow(16, 20)).toEqual({ status: RTAS_HARDWARE_ERROR });
    tables.removeWindow(LIOBN);
    expect(tables.createWindow(16, 20).window).toMatchObject({ liobn: LIOBN, base: 0n });
    expect(tables.createWindow(16, 20)).toEqual({ status: RTAS_HARDWARE_ERROR });
  });

  it('cannot be created where the firmware does not know the calls', () => {
    const tables = new SimulatedTceTables({ ...SMALL, dynamicWindows: 'none' });
    expect(tables.queryWindows().status).toBe(RTAS_PARAMETER_ERROR);
    expect(tables.createWindow(16, 20)).toEqual({ status: RTAS_PARAMETER_ERROR });
    expect(tables.removeWindow(LIOBN)).toBe(RTAS_PARAMETER_ERROR);
    expect(tables.resetWindows()).toBe(RTAS_PARAMETER_ERROR);
    expect(tables.putTce(LIOBN, 0, 0, 1, 0)).toBe(H_SUCCESS);
  });
});
