import { GuestMemory } from '@virtio-platform/core/memory';
import { describe, expect, it } from 'vitest';
import { DeviceTable } from '../../src/domain/device-table.ts';

const ENTRY = { levels: 3, table: 0x1_2345_6000, domain: 9 };

describe('DeviceTable', () => {
  it('has the entry of the device, and one that permits nothing of every other', () => {
    const memory = new GuestMemory(new SharedArrayBuffer(2 ** 20));
    const table = new DeviceTable(memory, 0x20, ENTRY);
    expect([table.bytes, table.root % table.bytes]).toEqual([4096, 0]);
    const words = memory.u32.subarray(table.root / 4, (table.root + table.bytes) / 4);
    expect([...words.subarray(0x20 * 8, 0x21 * 8)]).toEqual([0x2345_6603, 0x6000_0001, 9, 0, 0, 0, 0, 0]);
    for (const other of [0, 0x1f, 0x21, 0x7f])
      expect([...words.subarray(other * 8, other * 8 + 8)]).toEqual([3, 0, 0, 0, 0, 0, 0, 0]);
  });

  it.each([
    [0x7f, 4096],
    [0x80, 8192],
    [0xff, 8192],
    [0x1ff, 16_384],
    [0xffff, 2 ** 21],
  ])('reaches to requester 0x%x with %i bytes', (sourceId, bytes) => {
    const memory = new GuestMemory(new SharedArrayBuffer(2 ** 23));
    expect(new DeviceTable(memory, sourceId, ENTRY).bytes).toBe(bytes);
  });

  it('sees that a device wrote over its entry, and gives its memory back', () => {
    const memory = new GuestMemory(new SharedArrayBuffer(2 ** 20));
    const table = new DeviceTable(memory, 0x20, ENTRY);
    expect(table.isIntact()).toBe(true);
    memory.u32[table.root / 4 + 0x20 * 8 + 1] = 0;
    expect(table.isIntact()).toBe(false);
    table.free();
    expect(memory.allocated).toBe(0);
  });

  it('says where the requester id leads', () => {
    const memory = new GuestMemory(new SharedArrayBuffer(2 ** 20));
    expect(new DeviceTable(memory, 0x20, ENTRY).walk()).toEqual([
      {
        table: expect.stringContaining('device table at 0x'),
        says: '00:04.0 is of domain 9, 3 levels of tables at 0x123456000',
      },
    ]);
    const through = new DeviceTable(memory, 0x21, { levels: 0, table: 0, domain: 9 });
    expect(through.walk()[0]!.says).toContain('mode 0');
  });
});
