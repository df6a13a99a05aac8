import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RingEnds } from './ring-ends.ts';

/** Adds a buffer of so many segments, or has the device return one of those that it has. */
const step = fc.oneof(
  fc.record({ readable: fc.nat(4), writable: fc.nat(4) }).filter(({ readable, writable }) => readable + writable > 0),
  fc.record({ returned: fc.nat() }),
);

describe.each(['split', 'packed'] as const)('the buffers that the driver of a %s queue recorded', (layout) => {
  it.each([0, 4])('are in the ring as it wrote them, whatever came and failed before (%d in a table)', (indirect) => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 3, max: 12 }), (steps, capacity) => {
        const ends = new RingEnds({ layout, indirect, capacity });
        const outstanding: number[] = [];
        for (const each of steps) {
          if ('returned' in each) {
            const [id] = outstanding.splice(each.returned % Math.max(1, outstanding.length), 1);
            if (id === undefined) continue;
            while (ends.device.pop(ends.chain));
            ends.use(id, 0);
            ends.take();
          } else {
            const id = ends.add(each.readable, each.writable);
            if (id >= 0) outstanding.push(id);
            ends.queue.publish();
          }
          const buffers = ends.queue.inspectBuffers();
          expect(buffers.filter(({ descriptors }) => descriptors.some(({ isChanged }) => isChanged))).toEqual([]);
          const kept = buffers.filter(({ isOutstanding }) => isOutstanding).map(({ id }) => id);
          expect(kept.toSorted((a, b) => a - b)).toEqual(outstanding.toSorted((a, b) => a - b));
        }
        expect(ends.queue.broken).toBeUndefined();
      }),
    );
  });
});
