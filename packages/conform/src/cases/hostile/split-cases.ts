import { BOTH_LAYOUTS, type ConformCase } from '@virtio-platform/core';
import { VIRTIO_F_IN_ORDER, VIRTIO_RING_F_EVENT_IDX } from '@virtio-platform/core/features';
import { offers } from '../needs.ts';
import { hostile, NEXT, over, requestDescriptors } from './hostile-case.ts';

/** Offset of the index in the driver area and in the device area. */
const INDEX = 2;

/** Misuse of the available ring of a split ring, by the numbers of the catalogue (packages/conformance). */
export const HOSTILE_SPLIT_CASES: readonly ConformCase[] = [
  ...[1, 0x7fff].map((past) =>
    hostile({
      id: `hostile/V01-index-jumps-${past}`,
      clause: '2.7.6',
      title: `survives an available index that jumps by the ring and ${past} more`,
      misuse: (_bench, ring) => {
        ring.poke('driver', INDEX, (ring.nextAvailable + ring.size + past) & 0xffff);
        ring.kick();
      },
    }),
  ),
  hostile({
    id: 'hostile/V02-index-goes-back',
    clause: '2.7.6.1',
    title: 'survives an available index that goes back',
    misuse: (_bench, ring) => {
      ring.poke('driver', INDEX, (ring.nextAvailable - 1) & 0xffff);
      ring.kick();
    },
  }),
  ...[16, 0xffff].map((head) =>
    hostile({
      id: `hostile/V03-head-${head}`,
      clause: '2.7.6',
      title: `survives an available entry of ${head} in a ring of 16`,
      misuse: (_bench, ring) => {
        ring.pushHead(head);
        ring.publish();
        ring.kick();
      },
    }),
  ),
  ...[16, 0xffff].map((next) =>
    hostile({
      id: `hostile/V04-next-${next}`,
      clause: '2.7.5',
      title: `survives a next of ${next} in a ring of 16`,
      misuse: (bench, ring) => {
        ring.describe(0, { ...requestDescriptors(bench)[0]!, flags: NEXT, next });
        ring.pushHead(0);
        ring.publish();
        ring.kick();
      },
    }),
  ),
  ...[1, 2, 16].map((length) =>
    hostile({
      id: `hostile/V05-loop-of-${length}`,
      clause: '2.7.5.2',
      title: `survives a chain that loops over ${length} of 16 descriptors`,
      misuse: (bench, ring) => {
        const [head] = requestDescriptors(bench);
        for (let i = 0; i < length; i++) ring.describe(i, { ...head!, length: 1, flags: NEXT, next: (i + 1) % length });
        ring.pushHead(0);
        ring.publish();
        ring.kick();
      },
    }),
  ),
  hostile({
    id: 'hostile/V24-head-twice',
    clause: '2.7.13',
    title: 'survives a head that is available twice',
    misuse: (bench, ring) => {
      const { segments } = bench.layOut(1);
      const head = ring.add(segments);
      ring.pushHead(head);
      ring.publish();
      ring.kick();
    },
  }),
  hostile({
    id: 'hostile/V25-one-head-only',
    clause: '2.7.13',
    title: 'survives a ring whose every entry is the same head',
    misuse: (bench, ring) => {
      const head = ring.add(bench.layOut(1).segments);
      for (let i = 1; i < ring.size; i++) ring.pushHead(head);
      ring.publish();
      ring.kick();
    },
  }),
  hostile({
    id: 'hostile/V26-rewritten',
    clause: '2.6.2',
    title: 'survives descriptors that are rewritten while it reads them',
    misuse: (bench, ring) => {
      const { segments } = bench.layOut(1, { readable: [2, 2] });
      ring.give(segments);
      for (let i = 0; i < 200; i++) {
        ring.describe(i % 3, over(segments[i % segments.length]!, i % 2 === 0 ? NEXT : 0, (i * 7) % ring.size));
      }
    },
  }),
  hostile({
    id: 'hostile/V33-used-index-scribbled',
    clause: '2.7.8',
    title: 'survives a driver that writes to the used index',
    misuse: async (bench, ring) => {
      ring.poke('device', INDEX, 0x4321);
      ring.give(bench.layOut(1).segments);
      await bench.settle();
    },
  }),
  hostile({
    id: 'hostile/V32-event-jumps',
    clause: '2.7.7',
    title: 'serves while used_event jumps about',
    with: [VIRTIO_RING_F_EVENT_IDX],
    needs: [offers(VIRTIO_RING_F_EVENT_IDX)],
    misuse: async (bench, ring) => {
      for (const event of [0xffff, 0, 0x8000, 1, 0x7fff, 40_000]) {
        ring.wantNotificationAt(event);
        await bench.serve(bench.layOut(1));
      }
    },
  }),
  hostile({
    id: 'hostile/V36-out-of-order',
    clause: '2.7.5.2',
    title: 'survives descriptors that are out of order with IN_ORDER',
    with: [VIRTIO_F_IN_ORDER],
    needs: [offers(VIRTIO_F_IN_ORDER)],
    misuse: (bench, ring) => {
      const { segments } = bench.layOut(1, { readable: [3] });
      ring.give(segments, { at: [9, 4, 12, 7].slice(0, segments.length) });
    },
  }),
  hostile({
    id: 'hostile/V51-reset-at-once',
    clause: '2.4',
    title: 'survives a reset right after many kicks',
    layouts: BOTH_LAYOUTS,
    size: 64,
    misuse: async (bench, ring) => {
      for (let n = 0; n < 20; n++) ring.add(bench.layOut(n).segments);
      ring.publish();
      ring.kick();
      await bench.reset();
    },
  }),
];
