import { FaultLog, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import type { FailureSchedule } from '@virtio-platform/core/failure';
import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { H_SUCCESS, SimulatedTceTables } from '../../src/index.ts';
import { openAddressSpace } from '../../src/simulated/open-address-space.ts';

const MIB = 2 ** 20;
const PAGE = 4096;
const LIOBN = 0x8000_0000;

interface Bench {
  readonly tables: SimulatedTceTables;
  readonly space: DeviceAddressSpace;
}

function openBench(lostInvalidations: FailureSchedule): Bench {
  const memory = new GuestMemory(new SharedArrayBuffer(MIB));
  const tables = new SimulatedTceTables({ memorySize: MIB, defaultWindowSize: 16 * PAGE, lostInvalidations });
  return { tables, space: openAddressSpace(memory, new FaultLog(), { tables: tables.state, pages: undefined }) };
}

/** The entry of a page as the guest reads it. */
function guestSees(tables: SimulatedTceTables, page: number): number {
  const words = new Uint32Array(2);
  expect(tables.getTce(LIOBN, page * PAGE, 0, words)).toBe(H_SUCCESS);
  return words[0]!;
}

describe('a lost invalidation', () => {
  it('keeps the old translation for the device without an error', () => {
    const { tables, space } = openBench({ every: 1 });
    tables.putTce(LIOBN, 0, 0, 0x5003, 0);
    const { generation } = space;
    expect(tables.stuffTce(LIOBN, 0, 0, 0, 0, 1)).toBe(H_SUCCESS);
    expect(guestSees(tables, 0)).toBe(0);
    expect(space.borrow(0, 0, 1, 'write')).toBe(0x5000);
    expect(space.generation).toBe(generation);
  });

  it('leads the device to the old page after the entry was rewritten', () => {
    const { tables, space } = openBench({ every: 1 });
    tables.putTce(LIOBN, 0, 0, 0x5003, 0);
    tables.putTce(LIOBN, 0, 0, 0, 0);
    tables.putTce(LIOBN, 0, 0, 0x9003, 0);
    expect(guestSees(tables, 0)).toBe(0x9003);
    expect(space.borrow(0, 0, 1, 'write')).toBe(0x5000);
  });

  it('is repaired only by the next invalidation of the same entry', () => {
    const { tables, space } = openBench({ nth: [1] });
    tables.putTce(LIOBN, 0, 0, 0x5003, 0);
    tables.putTce(LIOBN, PAGE, 0, 0x6003, 0);
    tables.putTce(LIOBN, 0, 0, 0, 0);
    tables.putTce(LIOBN, PAGE, 0, 0, 0);
    expect(space.borrow(0, 0, 1, 'write')).toBe(0x5000);
    expect(space.borrow(PAGE, 0, 1, 'write')).toBe(-1);
    tables.putTce(LIOBN, 0, 0, 0x9001, 0);
    expect(space.borrow(0, 0, 1, 'read')).toBe(0x9000);
    expect([guestSees(tables, 0), space.borrow(0, 0, 1, 'write')]).toEqual([0x9001, -1]);
  });

  it('covers all entries of a hypercall', () => {
    const { tables, space } = openBench({ nth: [2] });
    for (const page of [0, 1, 2, 3]) tables.putTce(LIOBN, page * PAGE, 0, 0x5003, 0);
    tables.stuffTce(LIOBN, 0, 0, 0, 0, 2);
    tables.stuffTce(LIOBN, 2 * PAGE, 0, 0, 0, 2);
    expect([0, 1, 2, 3].map((page) => space.borrow(page * PAGE, 0, 1, 'read') >= 0)).toEqual([
      false,
      false,
      true,
      true,
    ]);
  });

  it('is not counted for a hypercall that removes no translation', () => {
    const { tables, space } = openBench({ nth: [1] });
    tables.putTce(LIOBN, 0, 0, 0x5001, 0);
    tables.putTce(LIOBN, 0, 0, 0x5003, 0);
    expect(space.borrow(0, 0, 1, 'write')).toBe(0x5000);
    tables.putTce(LIOBN, 0, 0, 0x5001, 0);
    expect(space.borrow(0, 0, 1, 'write')).toBe(0x5000);
    tables.putTce(LIOBN, 0, 0, 0, 0);
    expect(space.borrow(0, 0, 1, 'read')).toBe(-1);
  });

  it('ends with its window', () => {
    const { tables, space } = openBench({ every: 1 });
    tables.putTce(LIOBN, 0, 0, 0x5003, 0);
    tables.putTce(LIOBN, 0, 0, 0, 0);
    tables.resetWindows();
    expect(space.borrow(0, 0, 1, 'read')).toBe(-1);
    tables.putTce(LIOBN, 0, 0, 0x9003, 0);
    expect([guestSees(tables, 0), space.borrow(0, 0, 1, 'read')]).toEqual([0x9003, 0x9000]);
  });
});
