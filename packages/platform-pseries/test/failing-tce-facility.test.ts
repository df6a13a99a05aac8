import { GuestMemory, PageStates } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import {
  FailingTceFacility,
  FailingUltravisor,
  H_HARDWARE,
  H_NO_MEM,
  H_SUCCESS,
  pseriesOptionsSchema,
  RTAS_HARDWARE_ERROR,
  RTAS_SUCCESS,
  SimulatedTceTables,
  SimulatedUltravisor,
} from '../src/index.ts';

const MIB = 2 ** 20;
const PAGE = 4096;
const LIOBN = 0x8000_0000;

function openFailing(failures: unknown): { tables: SimulatedTceTables; facility: FailingTceFacility } {
  const tables = new SimulatedTceTables({ memorySize: MIB, defaultWindowSize: MIB });
  return { tables, facility: new FailingTceFacility(tables, pseriesOptionsSchema.parse({ failures }).failures) };
}

function lowWords(tables: SimulatedTceTables, pages: number): number[] {
  const words = new Uint32Array(2);
  return Array.from({ length: pages }, (_, page) => {
    expect(tables.getTce(LIOBN, page * PAGE, 0, words)).toBe(H_SUCCESS);
    return words[0]!;
  });
}

describe('FailingTceFacility', () => {
  it('refuses every n-th hypercall that changes a table, of any kind, with the configured code', () => {
    const { facility, tables } = openFailing({ hypercall: { every: 2, result: 'H_NO_MEM' } });
    const words = new Uint32Array(2);
    expect(facility.putTce(LIOBN, 0, 0, 1, 0)).toBe(H_SUCCESS);
    expect(facility.getTce(LIOBN, 0, 0, words)).toBe(H_SUCCESS);
    expect(facility.putTce(LIOBN, PAGE, 0, 1, 0)).toBe(H_NO_MEM);
    expect(facility.stuffTce(LIOBN, 2 * PAGE, 0, 2, 0, 1)).toBe(H_SUCCESS);
    expect(facility.stuffTce(LIOBN, 0, 0, 0, 0, 1)).toBe(H_NO_MEM);
    expect(lowWords(tables, 3)).toEqual([1, 0, 2]);
  });

  it('performs the first half of a list that it refuses', () => {
    const { facility, tables } = openFailing({ hypercall: { nth: [1, 2] } });
    const list = new Uint32Array([1, 0, 1, 0, 1, 0, 1, 0]);
    expect(facility.putTceIndirect(LIOBN, 0, 0, list, 4)).toBe(H_HARDWARE);
    expect(lowWords(tables, 4)).toEqual([1, 1, 0, 0]);
    expect(facility.stuffTce(LIOBN, 0, 0, 0, 0, 2)).toBe(H_HARDWARE);
    expect(lowWords(tables, 4)).toEqual([0, 1, 0, 0]);
    expect(facility.putTceIndirect(LIOBN, 0, 0, list, 4)).toBe(H_SUCCESS);
    expect(lowWords(tables, 4)).toEqual([1, 1, 1, 1]);
  });

  it('refuses window calls with a hardware error, and changes nothing', () => {
    const { facility, tables } = openFailing({ window: { nth: [1, 2, 4, 5] } });
    expect(facility.queryWindows()).toMatchObject({ status: RTAS_HARDWARE_ERROR, available: 0 });
    expect(facility.createWindow(16, 20)).toEqual({ status: RTAS_HARDWARE_ERROR });
    expect(tables.queryWindows().available).toBe(1);
    const { window } = facility.createWindow(16, 20);
    expect(facility.removeWindow(window!.liobn)).toBe(RTAS_HARDWARE_ERROR);
    expect(facility.resetWindows!()).toBe(RTAS_HARDWARE_ERROR);
    expect(tables.queryWindows().available).toBe(0);
    expect(facility.resetWindows!()).toBe(RTAS_SUCCESS);
    expect(tables.queryWindows().available).toBe(1);
  });

  it('refuses ultracalls of both directions in one sequence, and leaves the page unchanged', () => {
    const memory = new GuestMemory(new SharedArrayBuffer(MIB));
    const pages = PageStates.create(MIB);
    const ultravisor = new FailingUltravisor(new SimulatedUltravisor(memory, pages), { nth: [1, 3] });
    expect([ultravisor.setShared(0, PAGE), pages.isShared(0)]).toEqual([false, false]);
    expect([ultravisor.setShared(0, PAGE), pages.isShared(0)]).toEqual([true, true]);
    expect([ultravisor.setPrivate(0, PAGE), pages.isShared(0)]).toEqual([false, true]);
    expect([ultravisor.setPrivate(0, PAGE), pages.isShared(0)]).toEqual([true, false]);
    expect(ultravisor.failed).toEqual({ ultracalls: 2 });
  });

  it('has no reset on a machine without it', () => {
    const tables = new SimulatedTceTables({ memorySize: MIB, defaultWindowSize: MIB });
    Object.defineProperty(tables, 'resetWindows', { value: undefined });
    const facility = new FailingTceFacility(tables, pseriesOptionsSchema.parse({}).failures);
    expect(facility.resetWindows).toBeUndefined();
    expect(facility.defaultWindow).toBe(tables.defaultWindow);
  });
});
