import {
  bareCase,
  bareCases,
  BOTH_LAYOUTS,
  type ConformBench,
  type ConformCase,
  type Framing,
  startedCase,
  startedCases,
  type StartOptions,
} from '@virtio-platform/core';
import { VIRTIO_RING_F_INDIRECT_DESC } from '@virtio-platform/core/features';
import { VIRTQ_DESC_F_WRITE } from '@virtio-platform/core/queue';
import { offers, takesRing } from '../needs.ts';

const INDIRECT = [VIRTIO_RING_F_INDIRECT_DESC];
const hasIndirect = offers(VIRTIO_RING_F_INDIRECT_DESC);
/** Requests of a case that looks at more than one place of a ring. */
const SOME = 12;

/** Serves some requests that are cut in one way. */
async function serveCut(bench: ConformBench, framing: Framing, options: StartOptions = {}): Promise<void> {
  await bench.start({ size: 32, ...options });
  for (let n = 0; n < SOME; n++) await bench.serve(bench.layOut(n, framing), framing);
}

/** Skips a case about a part that the requests of the device do not have. */
function needsPart(bench: ConformBench, part: 'readable' | 'writable'): void {
  const { readable, writable } = bench.layOut(0).request;
  if ((part === 'readable' ? readable.length : writable) > 0) return;
  bench.skip(`its requests have nothing to ${part === 'readable' ? 'read' : 'write'}`);
}

/** Serves some requests of which one part is cut. */
async function servePart(bench: ConformBench, framing: Framing): Promise<void> {
  await bench.start();
  needsPart(bench, framing.readable === undefined ? 'writable' : 'readable');
  await serveCut(bench, framing);
}

/** Lengths of one byte each, for as many bytes as `of` has, at most `most`. */
function single(of: number, most: number): number[] {
  return Array.from({ length: Math.min(of, most) }, () => 1);
}

/** A request whose readable part is single bytes. */
function readableBytes(bench: ConformBench): Framing {
  return { readable: single(bench.layOut(0).request.readable.length, 16) };
}

/** Serves requests on a ring of one size, all that fit at once. */
async function fillsRing(bench: ConformBench, size: number, options: StartOptions = {}): Promise<void> {
  const ring = await bench.start({ size, ...options });
  bench.equal('the size of the ring', ring.size, size);
  const each = options.with === undefined ? bench.layOut(0).segments.length : 1;
  if (each > size) bench.skip(`a request takes ${each} descriptors, and the ring has ${size}`);
  const framing = options.with === undefined ? {} : { indirect: true };
  await bench.serveMany(3 * size + 1, Math.floor(size / each), () => framing);
}

/** How a request may be described: every arrangement of descriptors (specification 1.4 sections 2.7.4 to 2.7.5.3). */
export const CHAIN_CASES: readonly ConformCase[] = [
  bareCase({
    id: 'ring/request',
    clause: '2.6',
    title: 'serves requests of one descriptor for each direction',
    layouts: BOTH_LAYOUTS,
    run: (bench) => serveCut(bench, {}),
  }),
  startedCase({
    id: 'ring/readable-single-bytes',
    clause: '2.7.4.1',
    title: 'takes a readable part that is cut into single bytes',
    layouts: BOTH_LAYOUTS,
    needs: [takesRing(32)],
    run: async (bench) => {
      await servePart(bench, readableBytes(bench));
    },
  }),
  ...bareCases({ clause: '2.7.4.1', layouts: BOTH_LAYOUTS }, [
    {
      id: 'ring/readable-in-two',
      title: 'takes a readable part whose first descriptor is 3 bytes',
      run: (bench) => servePart(bench, { readable: [3] }),
    },
    {
      id: 'ring/writable-in-two',
      title: 'writes to a part whose first descriptor is 1 byte',
      run: (bench) => servePart(bench, { writable: [1] }),
    },
  ]),
  startedCase({
    id: 'ring/writable-last-byte-apart',
    clause: '2.7.4.1',
    title: 'writes to a part whose last byte has a descriptor of its own',
    layouts: BOTH_LAYOUTS,
    run: async (bench) => {
      needsPart(bench, 'writable');
      const { writable } = bench.layOut(0).request;
      await serveCut(bench, { writable: writable > 1 ? [writable - 1] : [] });
    },
  }),
  bareCase({
    id: 'ring/writable-odd-lengths',
    clause: '2.7.4.1',
    title: 'serves where both parts are cut into odd lengths',
    layouts: BOTH_LAYOUTS,
    run: (bench) => serveCut(bench, { readable: [5, 6], writable: [7, 1, 100] }),
  }),
  ...startedCases({ start: { size: 8 } }, [
    {
      id: 'ring/chain-as-long-as-ring',
      clause: '2.7.5.3.1',
      title: 'takes a chain of as many descriptors as the ring has (V07)',
      layouts: BOTH_LAYOUTS,
      run: async (bench) => {
        const { readable, writable } = bench.layOut(0).request;
        if (readable.length + writable < 8) bench.skip('its requests have too few bytes');
        const ofReadable = Math.min(readable.length, writable === 0 ? 8 : 4);
        const framing = {
          readable: single(Math.max(0, ofReadable - 1), 7),
          writable: single(Math.max(0, 8 - ofReadable - 1), 7),
        };
        const ring = await bench.start({ size: 8 });
        for (let n = 0; n < 5; n++) {
          const laid = bench.layOut(n, framing);
          bench.equal('the number of descriptors', laid.segments.length, ring.size);
          await bench.serve(laid, framing);
        }
      },
    },
    {
      id: 'ring/scattered-descriptors',
      clause: '2.7.5',
      title: 'follows next to descriptors in any order, with any head',
      run: async (bench, ring) => {
        const orders = [
          [5, 2, 7, 0],
          [1, 0, 6, 3],
          [7, 6, 5, 4],
        ];
        for (const [n, order] of orders.entries()) {
          const laid = bench.layOut(n, { readable: [3], writable: [1] });
          const at = order.slice(0, laid.segments.length);
          const id = ring.give(laid.segments, { at });
          await bench.takeBack(laid, ring, id);
        }
      },
    },
    {
      id: 'ring/id-of-any-value',
      clause: '2.8.6',
      title: 'returns the id of the last descriptor of a list, whatever it is',
      layouts: ['packed'],
      run: async (bench, ring) => {
        for (const id of [7, 3, 5, 0, 6]) {
          const laid = bench.layOut(id);
          const rest = [1, 2, 4].slice(0, laid.segments.length - 1);
          ring.give(laid.segments, { at: [id, ...rest] });
          await bench.takeBack(laid, ring, id);
        }
      },
    },
  ]),
  ...[1, 2, 4].map((size): ConformCase => ({
    id: `ring/size-${size}`,
    clause: '2.6',
    level: 'MUST',
    title: `serves on a ring of ${size} ${size === 1 ? 'entry' : 'entries'}${size < 4 ? ', with tables' : ''} (V48)`,
    layouts: BOTH_LAYOUTS,
    needs: size < 4 ? [hasIndirect] : [],
    run: (bench) => fillsRing(bench, size, size < 4 ? { with: INDIRECT } : {}),
  })),
  ...[3, 5, 7, 13].map((size): ConformCase => ({
    id: `ring/size-${size}`,
    clause: '2.8.10.1',
    level: 'MUST',
    title: `serves on a ring of ${size} entries, which is no power of two`,
    layouts: ['packed'],
    needs: [takesRing(size)],
    run: (bench) => fillsRing(bench, size),
  })),
  bareCase({
    id: 'ring/size-largest',
    clause: '2.6',
    title: 'serves on a ring of as many entries as it says that it takes, all of them at once',
    layouts: BOTH_LAYOUTS,
    run: async (bench) => {
      const most = Math.min(bench.device.maxQueueSize(0), 512);
      const size = bench.layout === 'packed' ? most : 2 ** Math.floor(Math.log2(most));
      await bench.start({ size });
      const each = bench.layOut(0).segments.length;
      await bench.start({ size });
      await bench.serveMany(size, Math.floor(size / each));
    },
  }),
  bareCase({
    id: 'ring/table',
    clause: '2.7.5.3',
    title: 'takes an indirect table for each request',
    layouts: BOTH_LAYOUTS,
    needs: [hasIndirect],
    run: (bench) => serveCut(bench, { indirect: true }, { with: INDIRECT }),
  }),
  startedCase({
    id: 'ring/table-of-many',
    clause: '2.7.5.3',
    title: 'takes a table of as many entries as the ring has',
    layouts: BOTH_LAYOUTS,
    needs: [hasIndirect],
    run: async (bench) => {
      const bytes = readableBytes(bench);
      await serveCut(
        bench,
        { ...bytes, writable: single(bench.layOut(0).request.writable, 12), indirect: true },
        {
          with: INDIRECT,
        },
      );
    },
  }),
  bareCase({
    id: 'ring/table-behind-descriptors',
    clause: '2.7.5.3.2',
    title: 'takes direct descriptors that are followed by one table (V22)',
    needs: [hasIndirect],
    run: async (bench) => {
      const framing = { readable: [3, 4], writable: [3, 4], indirect: 2 };
      await bench.start();
      if (bench.layOut(0, framing).segments.length < 3) bench.skip('its requests have too few bytes');
      await serveCut(bench, framing, { with: INDIRECT });
    },
  }),
  ...startedCases({ layouts: BOTH_LAYOUTS, needs: [hasIndirect] }, [
    {
      id: 'ring/table-marked-writable',
      clause: '2.7.5.3.2',
      title: 'ignores WRITE in the descriptor that refers to a table (V23)',
      start: { with: INDIRECT },
      run: async (bench, ring) => {
        const laid = bench.layOut(0);
        const id = ring.give(laid.segments, { indirect: true, tableFlags: VIRTQ_DESC_F_WRITE });
        await bench.takeBack(laid, ring, id);
      },
    },
    {
      id: 'ring/tables-and-chains-mixed',
      clause: '2.7.5.3',
      title: 'takes tables and chains by turns, several at once',
      start: { with: INDIRECT, size: 32 },
      run: async (bench) => {
        await bench.serveMany(60, 6, (n) => ({ readable: [3], indirect: n % 2 === 0 }));
      },
    },
  ]),
  bareCase({
    id: 'ring/direct-with-tables-negotiated',
    clause: '2.7.5.3',
    title: 'takes chains also where INDIRECT_DESC was negotiated',
    layouts: BOTH_LAYOUTS,
    needs: [hasIndirect],
    run: (bench) => serveCut(bench, { readable: [3] }, { with: INDIRECT }),
  }),
];
