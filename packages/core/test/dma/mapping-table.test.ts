import { DmaDirection, MappingTable } from '@virtio-platform/core/dma';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';

describe('MappingTable', () => {
  it('gives ids that are live once, whatever the order of opening and closing', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.array(fc.nat(9), { maxLength: 60 }), (capacity, steps) => {
        const table = new MappingTable(capacity);
        const live = new Map<number, number>();
        const dead = new Set<number>();
        for (const [n, step] of steps.entries()) {
          const ids = [...live.keys()];
          if (step < 5) {
            const id = table.open(n, n + 1, DmaDirection.ToDevice);
            expect(id < 0).toBe(live.size === capacity);
            if (id < 0) continue;
            expect(live.has(id) || dead.has(id)).toBe(false);
            live.set(id, n);
          } else if (ids.length > 0) {
            const id = ids[step % ids.length]!;
            table.close(table.slotOf(id));
            live.delete(id);
            dead.add(id);
          }
          expect(table.live).toBe(live.size);
          expect([...table.liveIds()].toSorted((a, b) => a - b)).toEqual([...live.keys()].toSorted((a, b) => a - b));
          for (const [id, address] of live) expect(table.address[table.slotOf(id)]).toBe(address);
          for (const id of dead) expect(() => table.slotOf(id)).toThrow(RangeError);
        }
      }),
    );
  });

  it('keeps ids in 31 bits when generations run out', () => {
    const capacity = 0x10_0000;
    const table = new MappingTable(capacity);
    for (let i = 0; i < 5000; i++) {
      const id = table.open(0, 1, DmaDirection.ToDevice);
      expect(id).toBeGreaterThanOrEqual(0);
      expect(id).toBeLessThanOrEqual(0x7fff_ffff);
      table.close(table.slotOf(id));
    }
  });

  it.each([-1, 0.5, Number.NaN, Infinity, 7])('throws RangeError for id %d, which was never given', (id) => {
    expect(() => new MappingTable(4).slotOf(id)).toThrow(RangeError);
  });

  it.each([0, -1, 1.5, 0x10_0001])('throws RangeError for a capacity of %d', (capacity) => {
    expect(() => new MappingTable(capacity)).toThrow(RangeError);
  });
});
