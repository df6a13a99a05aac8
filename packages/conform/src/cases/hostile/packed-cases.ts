import type { ConformBench, ConformCase, ConformRing, RawDescriptor } from '@virtio-platform/core';
import { VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC } from '@virtio-platform/core/features';
import { availableFlags, VIRTQ_DESC_F_AVAIL, VIRTQ_DESC_F_USED } from '@virtio-platform/core/queue';
import { offers } from '../needs.ts';
import {
  giveChain,
  giveTable,
  hostile,
  hostileCases,
  INDIRECT,
  NEXT,
  over,
  requestDescriptors,
} from './hostile-case.ts';

const PACKED = ['packed'] as const;
const TABLES = { with: [VIRTIO_RING_F_INDIRECT_DESC], needs: [offers(VIRTIO_RING_F_INDIRECT_DESC)] } as const;
const EITHER = VIRTQ_DESC_F_AVAIL | VIRTQ_DESC_F_USED;

/** Pushes descriptors with flags of their own, and kicks. */
function push(ring: ConformRing, descriptors: readonly RawDescriptor[]): void {
  for (const descriptor of descriptors) ring.pushSlot(descriptor);
  ring.publish();
  ring.kick();
}

/** The request of the device type, marked available, with one of its descriptors changed. */
function marked(bench: ConformBench, ring: ConformRing, id = 0): RawDescriptor[] {
  const list = requestDescriptors(bench);
  return list.map((descriptor, i) => {
    const flags = descriptor.flags | (i < list.length - 1 ? NEXT : 0) | availableFlags(ring.nextAvailable);
    return { ...descriptor, flags, next: id };
  });
}

/** Misuse of a packed ring, by the numbers of the catalogue (packages/conformance). */
export const HOSTILE_PACKED_CASES: readonly ConformCase[] = [
  ...hostileCases({ clause: '2.8.17', layouts: PACKED }, [
    {
      id: 'hostile/V38-tail-not-available',
      title: 'survives a list whose tail is not available',
      misuse: (bench, ring) => {
        const list = marked(bench, ring);
        push(ring, [...list.slice(0, -1), { ...list.at(-1)!, flags: list.at(-1)!.flags & ~EITHER }]);
      },
    },
    {
      id: 'hostile/V39-turned-in-list',
      title: 'survives AVAIL that turns in the middle of a list',
      misuse: (bench, ring) => {
        const [head, ...rest] = marked(bench, ring);
        push(ring, [head!, ...rest.map((descriptor) => ({ ...descriptor, flags: descriptor.flags ^ EITHER }))]);
      },
    },
  ]),
  ...(
    [
      ['both', EITHER],
      ['neither', 0],
    ] as const
  ).map(([name, bits]) =>
    hostile({
      id: `hostile/V40-available-and-used-${name}`,
      clause: '2.8.1',
      title: `takes no descriptor of which AVAIL and USED are ${name === 'both' ? 'both set' : 'both clear'}`,
      layouts: PACKED,
      misuse: async (bench, ring) => {
        const position = ring.nextUsed;
        push(
          ring,
          requestDescriptors(bench).map((descriptor) => ({
            ...descriptor,
            flags: (descriptor.flags & 3) | bits,
            next: 5,
          })),
        );
        await bench.settle();
        bench.equal('the next used position', ring.nextUsed, position);
        const slot = (position & 0x7fff) * 16;
        bench.equal('the id in the slot', ring.peek('descriptor', slot + 12), 5);
        bench.equal('AVAIL and USED of the slot', ring.peek('descriptor', slot + 14) & EITHER, bits);
      },
    }),
  ),
  hostile({
    id: 'hostile/V41-other-lap',
    clause: '2.8.1',
    title: 'takes no descriptor that is marked for another lap',
    layouts: PACKED,
    misuse: async (bench, ring) => {
      const list = marked(bench, ring, 6).map((descriptor) => ({ ...descriptor, flags: descriptor.flags ^ EITHER }));
      const slot = (ring.nextUsed & 0x7fff) * 16;
      push(ring, list);
      await bench.settle();
      bench.equal('the flags of the slot', ring.peek('descriptor', slot + 14), list[0]!.flags);
    },
  }),
  ...[16, 0xffff].map((id) =>
    hostile({
      id: `hostile/V42-id-${id}`,
      clause: '2.8.6',
      title: `survives a buffer id of ${id} in a ring of 16`,
      layouts: PACKED,
      misuse: (bench, ring) => push(ring, marked(bench, ring, id)),
    }),
  ),
  hostile({
    id: 'hostile/V42-id-twice',
    clause: '2.8.6',
    title: 'survives a buffer id that is available twice',
    layouts: PACKED,
    misuse: (bench, ring) => {
      const list = marked(bench, ring, 2);
      for (const descriptor of [...list, ...list]) ring.pushSlot(descriptor);
      ring.publish();
      ring.kick();
    },
  }),
  hostile({
    id: 'hostile/V43-next-everywhere',
    clause: '2.8.17',
    title: 'survives NEXT on every slot of the ring',
    layouts: PACKED,
    misuse: (bench, ring) => {
      const [head] = requestDescriptors(bench);
      for (let i = 0; i < ring.size; i++)
        ring.pushSlot({ ...head!, length: 1, flags: NEXT | availableFlags(ring.nextAvailable), next: 0 });
      ring.publish();
      ring.kick();
    },
  }),
  ...hostileCases({ layouts: PACKED, ...TABLES }, [
    {
      id: 'hostile/V44-table-and-next',
      clause: '2.8.19',
      title: 'survives INDIRECT together with NEXT',
      misuse: (bench, ring) => {
        const table = bench.allocate('an indirect table', 64);
        const list = requestDescriptors(bench);
        for (const [i, entry] of list.entries()) ring.describeIn(table, i, entry);
        const lone = { ...over({ buffer: table }, INDIRECT), length: 16 * list.length };
        giveChain(ring, [lone, list[0]!]);
      },
    },
    {
      id: 'hostile/V44-table-in-list',
      clause: '2.8.19',
      title: 'survives a table in a list of descriptors',
      misuse: (bench, ring) => {
        const table = bench.allocate('an indirect table', 64);
        const list = requestDescriptors(bench);
        for (const [i, entry] of list.entries()) ring.describeIn(table, i, entry);
        giveChain(ring, [list[0]!, { ...over({ buffer: table }, INDIRECT), length: 16 * list.length }]);
      },
    },
    {
      id: 'hostile/V45-flags-in-table',
      clause: '2.8.7',
      title: 'survives flags beside WRITE inside a table',
      misuse: (bench, ring) => {
        const list = requestDescriptors(bench).map((entry) => ({
          ...entry,
          flags: entry.flags | NEXT | EITHER,
          next: 99,
        }));
        giveTable(bench, ring, list);
      },
    },
    {
      id: 'hostile/V46-split-table',
      clause: '2.8.7',
      title: 'survives a table in the format of a split ring',
      misuse: (bench, ring) => {
        const list = requestDescriptors(bench);
        // In the place of the flags a packed ring has what is next in a split one.
        const swapped = list.map((entry, i) => ({ ...entry, flags: i + 1, next: entry.flags | NEXT }));
        giveTable(bench, ring, swapped);
      },
    },
  ]),
  ...(
    [
      [3, 0],
      [2, 0x7fff],
      [2, 5],
    ] as const
  ).map(([flags, position]) =>
    hostile({
      id: `hostile/V47-event-${flags}-${position}`,
      clause: '2.8.14',
      title: `serves while the driver's event flags are ${flags}, at position ${position}`,
      layouts: PACKED,
      with: [VIRTIO_RING_F_EVENT_IDX],
      needs: [offers(VIRTIO_RING_F_EVENT_IDX)],
      misuse: async (bench, ring) => {
        ring.poke('driver', 0, position);
        ring.poke('driver', 2, flags);
        await bench.serveMany(20, 2);
      },
    }),
  ),
  hostile({
    id: 'hostile/V37-too-many',
    clause: '2.8.17',
    title: 'survives a ring of which every slot is available again before it was used',
    layouts: PACKED,
    size: 8,
    misuse: (bench, ring) => {
      for (let i = 0; i < 2 * ring.size; i++) {
        const [head] = marked(bench, ring, i % ring.size);
        ring.pushSlot({ ...head!, flags: head!.flags & ~NEXT });
      }
      ring.publish();
      ring.kick();
    },
  }),
];
