import { FaultLog } from '@virtio-platform/core/address-space';
import { GuestMemory, PAGE_SIZE } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { openAddressSpace } from '../src/back-end.js';
import { GrantTable } from '../src/grant-table.js';

const BIT_63 = 0x8000_0000;
const REFERENCE = 12;
const FRAME = 5;

/** A guest that granted one frame to domain 3, and the back-end in `domain`. */
function open({ domain = 3, drops = 'on-reset', keep = {}, isReadOnly = false } = {}) {
  const memory = new GuestMemory(new SharedArrayBuffer(16 * PAGE_SIZE));
  const table = GrantTable.create(64);
  table.grant(REFERENCE, 3, FRAME, isReadOnly);
  const faults = new FaultLog();
  const space = openAddressSpace(memory, faults, { buffer: table.buffer, domain, drops, keep });
  const read = (reference = REFERENCE, high = BIT_63) =>
    space.read(reference * PAGE_SIZE + 8, high, new Uint8Array(4), 0, 4);
  const write = () => space.write(REFERENCE * PAGE_SIZE, BIT_63, new Uint8Array([1, 2]), 0, 2);
  return { memory, table, faults, space, read, write, causes: () => faults.entries.map(({ cause }) => cause) };
}

describe('a back-end', () => {
  it('reaches a page that was granted to its domain', () => {
    const { memory, write, read, causes } = open();
    expect([write(), read(), causes()]).toEqual([true, true, []]);
    expect([...memory.u8.subarray(FRAME * PAGE_SIZE, FRAME * PAGE_SIZE + 2)]).toEqual([1, 2]);
  });

  it.each([
    ['a grant of another domain', 'access-denied', { domain: 4 }, ({ read }) => read()],
    ['a grant that was never given', 'unmapped', {}, ({ read }) => read(REFERENCE + 1)],
    ['a number behind the table', 'outside-window', {}, ({ read }) => read(64)],
    ['an address that is no grant', 'unmapped', {}, ({ read }) => read(REFERENCE, 0)],
    [
      'a write to a page that was granted for reading',
      'write-not-permitted',
      { isReadOnly: true },
      ({ write }) => write(),
    ],
  ])('faults on %s', (_what, cause, options, access) => {
    const opened = open(options);
    const before = opened.memory.u8.slice();
    expect([access(opened), opened.causes()]).toEqual([false, [cause]]);
    expect(opened.memory.u8).toEqual(before);
  });

  it('faults on a grant that was ended, and learns of it by the generation', () => {
    const { table, space, read, causes } = open();
    const { generation } = space;
    expect(table.end(REFERENCE)).toBe(true);
    expect(space.generation).not.toBe(generation);
    expect([read(), causes()]).toEqual([false, ['unmapped']]);
  });

  it('reaches what lies in front of a page that it may not reach, and nothing behind', () => {
    const { memory, space, causes } = open();
    const end = (REFERENCE + 1) * PAGE_SIZE - 2;
    expect(space.write(end, BIT_63, new Uint8Array([1, 2, 3, 4]), 0, 4)).toBe(false);
    expect([...memory.u8.subarray((FRAME + 1) * PAGE_SIZE - 2, (FRAME + 1) * PAGE_SIZE + 2)]).toEqual([1, 2, 0, 0]);
    expect(causes()).toEqual(['unmapped']);
  });

  it('has a page mapped only while it accesses it', () => {
    const { table, read, write } = open();
    read();
    write();
    expect(table.end(REFERENCE)).toBe(true);
  });

  it('has a ring mapped until its device is reset, however often it borrowed it', () => {
    const { table, space } = open();
    for (let i = 0; i < 3; i++) expect(space.borrow(REFERENCE * PAGE_SIZE, BIT_63, 64, 'read')).toBe(FRAME * PAGE_SIZE);
    expect(table.end(REFERENCE)).toBe(false);
    const { generation } = space;
    space.reset();
    expect(space.generation).not.toBe(generation);
    expect(table.end(REFERENCE)).toBe(true);
  });

  it.each([
    ['on-reset', true],
    ['never', false],
  ])('that keeps a page drops it %s', (drops, isBack) => {
    const { table, space, read } = open({ drops, keep: { nth: [1] } });
    read();
    expect(table.end(REFERENCE)).toBe(false);
    space.reset();
    expect(table.end(REFERENCE)).toBe(isBack);
  });

  it('leaves no trace where it only looks up an address', () => {
    const { memory, table } = open();
    const state = { buffer: table.buffer, domain: 3, drops: 'never', keep: { every: 1 } };
    const probe = openAddressSpace(memory, FaultLog.forLookups(), state);
    expect(probe.borrow(REFERENCE * PAGE_SIZE, BIT_63, 64, 'write')).toBe(FRAME * PAGE_SIZE);
    expect(table.end(REFERENCE)).toBe(true);
  });
});
