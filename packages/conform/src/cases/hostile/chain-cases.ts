import { BOTH_LAYOUTS, type ConformCase, type RawDescriptor } from '@virtio-platform/core';
import { VIRTIO_RING_F_INDIRECT_DESC } from '@virtio-platform/core/features';
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
  WRITE,
} from './hostile-case.ts';

const TABLES = { with: [VIRTIO_RING_F_INDIRECT_DESC], needs: [offers(VIRTIO_RING_F_INDIRECT_DESC)] } as const;
const LONGEST = 0xffff_ffff;
/** Entries of a table that no device takes: twice what QEMU does. */
const MOST_ENTRIES = 2100;

/** A request whose descriptors were changed. */
function changed(
  id: string,
  clause: string,
  title: string,
  change: (descriptors: RawDescriptor[], nowhere: readonly (readonly [number, number])[]) => readonly RawDescriptor[],
): ConformCase {
  const misuse: Parameters<typeof hostile>[0]['misuse'] = (bench, ring) =>
    giveChain(ring, change(requestDescriptors(bench), bench.nowhere));
  return hostile({ id, clause, title, layouts: BOTH_LAYOUTS, misuse });
}

/** The first descriptor, with other fields. */
function first(descriptors: RawDescriptor[], fields: Partial<RawDescriptor>): RawDescriptor[] {
  return descriptors.map((descriptor, i) => (i === 0 ? { ...descriptor, ...fields } : descriptor));
}

/** The last descriptor, with other fields. */
function last(descriptors: RawDescriptor[], fields: Partial<RawDescriptor>): RawDescriptor[] {
  return descriptors.map((descriptor, i) => (i === descriptors.length - 1 ? { ...descriptor, ...fields } : descriptor));
}

/** Chains and tables that a driver may not make, by the numbers of the catalogue (packages/conformance). */
export const HOSTILE_CHAIN_CASES: readonly ConformCase[] = [
  changed('hostile/V08-no-bytes-readable', '2.7.5', 'survives a readable descriptor of no bytes', (list) =>
    first(list, { length: 0 }),
  ),
  changed('hostile/V08-no-bytes-writable', '2.7.5', 'survives a writable descriptor of no bytes', (list) =>
    last(list, { length: 0 }),
  ),
  changed('hostile/V08-no-bytes-at-all', '2.7.5', 'survives a request of no bytes', (list) =>
    list.map((descriptor) => ({ ...descriptor, length: 0 })),
  ),
  changed('hostile/V09-4-gib-readable', '2.7.5.2', 'survives a readable descriptor of 2^32 - 1 bytes', (list) =>
    first(list, { length: LONGEST }),
  ),
  changed(
    'hostile/V09-4-gib-writable',
    '2.7.5.2',
    'survives a writable descriptor of 2^32 - 1 bytes',
    (list, nowhere) => last(list, { length: LONGEST, low: nowhere[0]![0], high: nowhere[0]![1] }),
  ),
  changed('hostile/V10-wraps-readable', '2.7.5', 'survives a readable buffer that passes the end of 64 bits', (list) =>
    first(list, { low: 0xffff_fff0, high: LONGEST, length: 64 }),
  ),
  changed('hostile/V10-wraps-writable', '2.7.5', 'survives a writable buffer that passes the end of 64 bits', (list) =>
    last(list, { low: 0xffff_fff0, high: LONGEST, length: 64 }),
  ),
  changed('hostile/V11-chain-too-long', '2.7.5.2', 'survives a chain of more than 2^32 bytes', (list) => [
    ...first(list, { length: 0x9000_0000 }).slice(0, 1),
    { ...list[0]!, length: 0x9000_0000 },
    ...list.slice(1),
  ]),
  ...[0, 1, 2].flatMap((at) => [
    changed(
      `hostile/V12-nowhere-readable-${at}`,
      '2.7.5',
      'survives a readable buffer where nothing is',
      (list, nowhere) => first(list, { low: nowhere[at]![0], high: nowhere[at]![1] }),
    ),
    changed(
      `hostile/V12-nowhere-writable-${at}`,
      '2.7.5',
      'survives a writable buffer where nothing is',
      (list, nowhere) => last(list, { low: nowhere[at]![0], high: nowhere[at]![1] }),
    ),
  ]),
  changed(
    'hostile/V13-readable-behind-writable',
    '2.7.4.2',
    'survives a readable descriptor behind a writable one',
    (list) => [...list, { ...list[0]!, flags: 0 }],
  ),
  changed('hostile/V13-reversed', '2.7.4.2', 'survives a request whose writable part comes first', (list) =>
    list.toReversed(),
  ),
  changed('hostile/V14-all-writable', '2.7.4.2', 'survives a request of which everything is writable', (list) =>
    list.map((descriptor) => ({ ...descriptor, flags: WRITE })),
  ),
  changed('hostile/V14-all-readable', '2.7.4.2', 'survives a request of which everything is readable', (list) =>
    list.map((descriptor) => ({ ...descriptor, flags: 0 })),
  ),
  ...hostileCases({ clause: '2.7.5.3.1', layouts: BOTH_LAYOUTS }, [
    {
      id: 'hostile/V15-table-not-negotiated',
      title: 'survives an indirect table that was not negotiated',
      misuse: (bench, ring) => giveTable(bench, ring, chained(requestDescriptors(bench), ring.layout)),
    },
    {
      id: 'hostile/V16-table-in-table',
      title: 'survives a table inside a table',
      ...TABLES,
      misuse: (bench, ring) => {
        const inner = bench.allocate('the inner table', 64);
        for (const [i, entry] of chained(requestDescriptors(bench), ring.layout).entries())
          ring.describeIn(inner, i, entry);
        giveTable(bench, ring, [over({ buffer: inner }, INDIRECT)]);
      },
    },
    {
      id: 'hostile/V16-table-of-itself',
      title: 'survives a table that refers to itself',
      ...TABLES,
      misuse: (bench, ring) => {
        const table = bench.allocate('a table that refers to itself', 16);
        ring.describeIn(table, 0, over({ buffer: table }, INDIRECT));
        giveChain(ring, [over({ buffer: table }, INDIRECT)]);
      },
    },
  ]),
  hostile({
    id: 'hostile/V17-table-and-next',
    clause: '2.7.5.3.1',
    title: 'survives INDIRECT together with NEXT',
    ...TABLES,
    misuse: (bench, ring) => {
      const list = requestDescriptors(bench);
      const table = bench.allocate('an indirect table', 16 * list.length);
      for (const [i, entry] of chained(list, 'split').entries()) ring.describeIn(table, i, entry);
      ring.describe(3, list[0]!);
      ring.describe(2, over({ buffer: table }, INDIRECT | NEXT, 3));
      ring.pushHead(2);
      ring.publish();
      ring.kick();
    },
  }),
  ...[0, 8, 24, 0xffff_fff0].map((length) =>
    hostile({
      id: `hostile/V18-table-length-${length}`,
      clause: '2.7.5.3',
      title: `survives a table of ${length} bytes`,
      layouts: BOTH_LAYOUTS,
      ...TABLES,
      misuse: (bench, ring) => giveTable(bench, ring, chained(requestDescriptors(bench), ring.layout), { length }),
    }),
  ),
  ...hostileCases({ clause: '2.7.5.3', ...TABLES }, [
    {
      id: 'hostile/V19-table-nowhere',
      title: 'survives a table where nothing is',
      layouts: BOTH_LAYOUTS,
      misuse: (bench, ring) => {
        for (const [low, high] of bench.nowhere.slice(0, 1))
          giveTable(bench, ring, requestDescriptors(bench), { low, high });
      },
    },
    {
      id: 'hostile/V20-next-leaves-table',
      title: 'survives a next that leaves its table',
      misuse: (bench, ring) => {
        const list = chained(requestDescriptors(bench), 'split');
        giveTable(bench, ring, [{ ...list[0]!, flags: NEXT, next: 999 }, ...list.slice(1)]);
      },
    },
    {
      id: 'hostile/V20-next-loops-in-table',
      title: 'survives a table whose next loops',
      misuse: (bench, ring) => {
        const [head] = requestDescriptors(bench);
        giveTable(bench, ring, [
          { ...head!, flags: NEXT, next: 1 },
          { ...head!, flags: NEXT, next: 0 },
        ]);
      },
    },
  ]),
  ...hostileCases({ layouts: BOTH_LAYOUTS }, [
    {
      id: 'hostile/V21-table-too-long',
      clause: '2.7.5.3.1',
      title: `survives a table of ${MOST_ENTRIES} entries`,
      ...TABLES,
      misuse: (bench, ring) => {
        const [head] = requestDescriptors(bench);
        const list = Array.from({ length: MOST_ENTRIES }, () => ({ ...head!, length: 1, flags: 0, next: 0 }));
        giveTable(bench, ring, chained(list, ring.layout));
      },
    },
    {
      id: 'hostile/V27-buffer-is-descriptors',
      clause: '2.6',
      title: 'survives a writable buffer that is the ring itself',
      misuse: (bench, ring) => {
        const list = requestDescriptors(bench);
        giveChain(ring, last(list, { low: ring.descriptorArea.low, high: ring.descriptorArea.high }));
      },
    },
    {
      id: 'hostile/V27-buffer-is-device-area',
      clause: '2.6',
      title: 'survives a writable buffer that is the device area',
      misuse: (bench, ring) => {
        const { low, high, length } = ring.deviceArea;
        giveChain(ring, last(requestDescriptors(bench), { low, high, length }));
      },
    },
    {
      id: 'hostile/V49-table-in-ring',
      clause: '2.7.5.3',
      title: 'survives a table that is the ring itself',
      ...TABLES,
      misuse: (bench, ring) => {
        const { low, high, length } = ring.descriptorArea;
        giveTable(bench, ring, requestDescriptors(bench), { low, high, length });
      },
    },
  ]),
];

/** Descriptors of a table, as its layout links them. */
function chained(descriptors: readonly RawDescriptor[], layout: 'split' | 'packed'): RawDescriptor[] {
  if (layout === 'packed') return [...descriptors];
  return descriptors.map((descriptor, i) =>
    i < descriptors.length - 1 ? { ...descriptor, flags: descriptor.flags | NEXT, next: i + 1 } : descriptor,
  );
}
