import { GuestMemory, LeakLog, PAGE_SIZE } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';

const what = 'a page that stays shared';

function openMemory(): GuestMemory {
  return new GuestMemory(new SharedArrayBuffer(64 * PAGE_SIZE));
}

describe('LeakLog', () => {
  it('keeps the first leaks and counts all', () => {
    const leaks = new LeakLog();
    for (let i = 0; i < LeakLog.LIMIT + 10; i++) leaks.record({ what, address: i * PAGE_SIZE, length: PAGE_SIZE });
    expect([leaks.count, leaks.entries.length]).toEqual([LeakLog.LIMIT + 10, LeakLog.LIMIT]);
    expect(leaks.bytes).toBe((LeakLog.LIMIT + 10) * PAGE_SIZE);
    expect(leaks.entries[1]).toEqual({ what, address: PAGE_SIZE, length: PAGE_SIZE });
  });

  it('forgets what its owner takes back, and nothing else', () => {
    const leaks = new LeakLog();
    const [one, other] = [{}, {}];
    for (let i = 0; i < LeakLog.LIMIT; i++) leaks.record({ what, address: 0, length: 1 }, one);
    leaks.record({ what, address: 0, length: 2 }, one);
    leaks.record({ what, address: 0, length: 4 }, other);
    leaks.takenBack(one);
    expect([leaks.count, leaks.bytes]).toEqual([1, 4]);
  });

  it('withholds the memory until it is taken back: its owner may free it, and nothing else gets it', () => {
    const memory = openMemory();
    const leaks = new LeakLog(memory);
    const owner = {};
    const buffer = memory.allocate(2 * PAGE_SIZE);
    leaks.record({ what, address: buffer + PAGE_SIZE, length: 16 }, owner);
    leaks.record({ what, address: buffer, length: 16 }, owner);
    memory.free(buffer);
    expect(() => memory.free(buffer)).toThrow(RangeError);
    expect(memory.allocate(PAGE_SIZE)).not.toBe(buffer);
    expect(memory.allocated).toBe(3 * PAGE_SIZE);
    leaks.takenBack(owner);
    expect(memory.allocated).toBe(PAGE_SIZE);
    expect(memory.allocate(PAGE_SIZE)).toBe(buffer);
  });

  it('leaves memory with its owner where that did not free it', () => {
    const memory = openMemory();
    const leaks = new LeakLog(memory);
    const owner = {};
    const buffer = memory.allocate(PAGE_SIZE);
    leaks.record({ what, address: buffer, length: 16 }, owner);
    leaks.takenBack(owner);
    expect(memory.allocated).toBe(PAGE_SIZE);
    memory.free(buffer);
    expect(memory.allocated).toBe(0);
  });
});
