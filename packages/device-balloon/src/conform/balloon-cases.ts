import {
  type BenchBuffer,
  BOTH_LAYOUTS,
  caseGroup,
  type Clause,
  type ConformBench,
  type ConformCase,
  type DeviceCases,
  type Framing,
  type GoodRequest,
  misuseOf,
  offersFeature,
  openedBy,
  type RequestBench,
  returnsNothing,
} from '@virtio-platform/core';
import { BALLOON_CONFIG } from '../balloon-config.ts';
import {
  BALLOON_FEATURES,
  VIRTIO_BALLOON_F_PAGE_POISON,
  VIRTIO_BALLOON_F_PAGE_REPORTING,
  VIRTIO_BALLOON_F_STATS_VQ,
} from '../balloon-features.ts';
import { balloonQueueList, balloonQueues, type BalloonQueueIndices } from '../balloon-queues.ts';
import { BALLOON_PAGE_SIZE, DEFLATE_QUEUE, INFLATE_QUEUE, PAGE_NUMBER_SIZE, STATISTIC_SIZE } from '../layout.ts';

const OPERATION = '5.5.6';
const STATISTICS = '5.5.6.3.2';
const REPORTING = '5.5.6.7.2';
const FIELDS = '5.5.4';
/** Pages that are allocated at once. */
const CHUNK = 64;
/** Pages of the requests of the ring's cases. */
const USUAL_PAGES = 2;
const NOWHERE = 0x000f_ffff;

/** The pages of a bench that were not given yet. */
const PAGES = new WeakMap<RequestBench, BenchBuffer[]>();

/** Pages that the device may take. */
function freshPages(bench: RequestBench, count: number): readonly BenchBuffer[] {
  const pages = PAGES.get(bench) ?? [];
  PAGES.set(bench, pages);
  while (pages.length < count) {
    const chunk = bench.allocate('pages for the balloon', CHUNK * BALLOON_PAGE_SIZE, BALLOON_PAGE_SIZE);
    bench.lend(chunk);
    for (let i = 0; i < CHUNK; i++) {
      const offset = i * BALLOON_PAGE_SIZE;
      const low = (chunk.low + offset) >>> 0;
      pages.push({
        name: `page ${i} of those for the balloon`,
        address: chunk.address + offset,
        low,
        high: low < chunk.low ? chunk.high + 1 : chunk.high,
        length: BALLOON_PAGE_SIZE,
        write: (bytes, at = 0) => chunk.write(bytes, offset + at),
        read: (at = 0, length = BALLOON_PAGE_SIZE - at) => chunk.read(offset + at, length),
      });
    }
  }
  return pages.splice(0, count);
}

/** A request of page numbers. */
function pageRequest(queue: number, numbers: readonly number[]): GoodRequest {
  const readable = new Uint8Array(numbers.length * PAGE_NUMBER_SIZE);
  const view = new DataView(readable.buffer);
  for (const [i, number] of numbers.entries()) view.setUint32(i * PAGE_NUMBER_SIZE, number, true);
  return { queue, readable, writable: 0, check: () => undefined };
}

const numbersOf = (pages: readonly BenchBuffer[]): number[] => pages.map(({ address }) => address / BALLOON_PAGE_SIZE);
const inflation = (bench: RequestBench, count: number): GoodRequest =>
  pageRequest(INFLATE_QUEUE, numbersOf(freshPages(bench, count)));

/** Starts the device with all of its queues. */
async function start(bench: ConformBench): Promise<BalloonQueueIndices> {
  await bench.start({ size: 128 });
  const device = { transport: bench.transport, accepted: bench.accepted, byteOrder: 'little' } as const;
  await bench.start({ size: 128, queues: balloonQueueList(device) });
  return balloonQueues(device);
}

/** A case on a balloon that was started. */
const balloonCase = openedBy(start);
const balloonCases = caseGroup(balloonCase);

/** Serves requests of pages that are cut in one way, in and out of the balloon. */
function pageCase(id: string, title: string, count: number, framing: Framing = {}): ConformCase {
  return {
    id: `balloon/${id}`,
    clause: OPERATION,
    level: 'MUST',
    title,
    layouts: BOTH_LAYOUTS,
    run: async (bench) => {
      await start(bench);
      for (let n = 0; n < 3; n++) {
        const numbers = numbersOf(freshPages(bench, count));
        await bench.serve(bench.layOutRequest(pageRequest(INFLATE_QUEUE, numbers), framing));
        await bench.serve(bench.layOutRequest(pageRequest(DEFLATE_QUEUE, numbers.toReversed()), framing));
      }
    },
  };
}

/** Requests that no driver may make. */
const hostileCase = misuseOf({ type: 'balloon', clause: OPERATION, start });

function give(bench: ConformBench, queue: number, bytes: Uint8Array, isWritable = false): void {
  const buffer = bench.allocate('a request', bytes.length, 64);
  buffer.write(bytes);
  bench.ring(queue).give([{ buffer, isWritable }]);
}

const giveNumbers = (bench: ConformBench, queue: number, ...numbers: readonly number[]): void =>
  give(bench, queue, pageRequest(queue, numbers).readable);

/** The queue of statistics, or of reports; skips the case where there is none. */
function queueOf(bench: ConformBench, name: 'statistics' | 'reports'): number {
  const { transport, accepted } = bench;
  return balloonQueues({ transport, accepted, byteOrder: 'little' })[name] ?? bench.skip(`it has no queue of ${name}`);
}

/** Statistics: tags and values. */
function statistics(...tags: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(tags.length * STATISTIC_SIZE);
  const view = new DataView(bytes.buffer);
  for (const [i, tag] of tags.entries()) {
    view.setUint16(i * STATISTIC_SIZE, tag, true);
    view.setBigUint64(i * STATISTIC_SIZE + 2, BigInt(i * 4096), true);
  }
  return bytes;
}

const hasStatistics = offersFeature(VIRTIO_BALLOON_F_STATS_VQ, BALLOON_FEATURES);
const hasReports = offersFeature(VIRTIO_BALLOON_F_PAGE_REPORTING, BALLOON_FEATURES);
const hasPoison = offersFeature(VIRTIO_BALLOON_F_PAGE_POISON, BALLOON_FEATURES);

const CASES: readonly ConformCase[] = [
  pageCase('one-page', 'takes one page, and gives it back', 1),
  pageCase('many-pages', 'takes 200 pages in one request, and gives them back in another order', 200),
  pageCase('numbers-in-two', 'takes page numbers of which one is in two descriptors', 8, { readable: [6] }),
  pageCase('numbers-in-odd-lengths', 'takes page numbers in descriptors of odd lengths', 8, { readable: [1, 7, 3, 9] }),
  pageCase('numbers-in-single-bytes', 'takes page numbers in descriptors of one byte each', 8, {
    readable: Array.from({ length: 31 }, () => 1),
  }),
  balloonCase({
    id: 'balloon/other-pages-kept',
    clause: OPERATION,
    title: 'changes no page but those that it was given',
    layouts: BOTH_LAYOUTS,
    run: async (bench) => {
      const pages = freshPages(bench, 9);
      for (const [i, page] of pages.entries()) page.write(new Uint8Array(BALLOON_PAGE_SIZE).fill(i + 1));
      const given = pages.filter((_, i) => i % 2 === 1);
      await bench.serve(bench.layOutRequest(pageRequest(INFLATE_QUEUE, numbersOf(given))));
      for (const [i, page] of pages.entries())
        if (i % 2 === 0)
          bench.check(
            page.read().every((byte) => byte === i + 1),
            `page ${i} of 9 changed, and was not given`,
          );
    },
  }),
  balloonCase({
    id: 'balloon/actual-kept',
    clause: FIELDS,
    title: 'has the number of pages that the driver wrote in actual',
    run: (bench) => {
      const { offset, width } = BALLOON_CONFIG.actual;
      for (const count of [3, 200, 0]) {
        const bytes = new Uint8Array(width);
        new DataView(bytes.buffer).setUint32(0, count, true);
        bench.transport.writeConfig(offset, bytes);
        const seen = new Uint8Array(width);
        bench.transport.readConfig(offset, seen);
        bench.equal('actual', new DataView(seen.buffer).getUint32(0, true), count);
      }
    },
  }),
  ...balloonCases({ layouts: BOTH_LAYOUTS, needs: [hasStatistics] }, [
    {
      id: 'balloon/statistics-held',
      clause: '5.5.6.3',
      title: 'keeps the buffer of statistics until it wants others',
      run: async (bench) => {
        const queue = queueOf(bench, 'statistics');
        give(bench, queue, statistics(0, 4, 5));
        await bench.serve(bench.layOut(0));
        await returnsNothing(bench, bench.ring(queue), 'it returned the statistics at once');
      },
    },
    {
      id: 'balloon/statistics-of-any-tags',
      clause: STATISTICS,
      title: 'takes statistics in any order, with tags that it does not know',
      run: async (bench) => {
        give(bench, queueOf(bench, 'statistics'), statistics(9, 0xffff, 4, 1000, 0));
        for (let n = 0; n < 3; n++) await bench.serve(bench.layOut(n));
      },
    },
  ]),
  balloonCase({
    id: 'balloon/reports',
    clause: '5.5.6.7',
    title: 'returns reports of free pages, one page and several',
    layouts: BOTH_LAYOUTS,
    needs: [hasReports],
    run: async (bench) => {
      const ring = bench.ring(queueOf(bench, 'reports'));
      for (const count of [1, 3, 2]) {
        const pages = freshPages(bench, count);
        const id = ring.give(pages.map((buffer) => ({ buffer, length: BALLOON_PAGE_SIZE, isWritable: true })));
        bench.equal('the used id', (await ring.takeNext()).id, id);
      }
    },
  }),
  balloonCase({
    id: 'balloon/reports-poisoned',
    clause: REPORTING,
    title: 'changes reported pages to the poison of the driver only',
    needs: [hasReports, hasPoison],
    run: async (bench) => {
      const ring = bench.ring(queueOf(bench, 'reports'));
      // The poison is 0, as it is after a reset.
      const page = freshPages(bench, 1)[0]!;
      page.write(new Uint8Array(BALLOON_PAGE_SIZE));
      ring.give([{ buffer: page, length: BALLOON_PAGE_SIZE, isWritable: true }]);
      await ring.takeNext();
      bench.check(
        page.read().every((byte) => byte === 0),
        'a page of zeros became something else',
      );
    },
  }),
  hostileCase('half-a-number', 'a request of 3 bytes', (bench) => give(bench, INFLATE_QUEUE, new Uint8Array(3))),
  hostileCase('number-and-a-byte', 'a request of 5 bytes', (bench) =>
    give(bench, INFLATE_QUEUE, new Uint8Array(5).fill(0xff)),
  ),
  hostileCase('outside', 'a page outside of memory', (bench) => giveNumbers(bench, INFLATE_QUEUE, NOWHERE)),
  hostileCase('last-number', 'the page 0xffffffff', (bench) => giveNumbers(bench, INFLATE_QUEUE, 0xffff_ffff)),
  hostileCase('twice', 'a page that is in the balloon already', (bench) => {
    const [number] = numbersOf(freshPages(bench, 1));
    giveNumbers(bench, INFLATE_QUEUE, number!, number!);
  }),
  hostileCase('never-given', 'a page out of the balloon that was never in it', (bench) =>
    giveNumbers(bench, DEFLATE_QUEUE, ...numbersOf(freshPages(bench, 1))),
  ),
  hostileCase('deflate-outside', 'a page outside of memory, out of the balloon', (bench) =>
    giveNumbers(bench, DEFLATE_QUEUE, NOWHERE),
  ),
  hostileCase('writable', 'page numbers in a writable buffer', (bench) =>
    give(bench, INFLATE_QUEUE, new Uint8Array(16), true),
  ),
  hostileCase('statistics-of-9', 'statistics of 9 bytes', (bench) =>
    give(bench, queueOf(bench, 'statistics'), new Uint8Array(9)),
  ),
  hostileCase('two-statistics', 'two buffers of statistics at once', (bench) => {
    const queue = queueOf(bench, 'statistics');
    give(bench, queue, statistics(4));
    give(bench, queue, statistics(5));
  }),
  ...(
    [
      ['part-of-a-page', 'a report of 100 bytes', 0, 100],
      ['pages-at-odd-address', 'a report of a page that begins at no page', 2, BALLOON_PAGE_SIZE - 2],
      ['all-of-memory', 'a report of nearly 4 GiB', 0, 0xffff_f000],
    ] as const
  ).map(([id, title, offset, length]) =>
    hostileCase(`report-of-${id}`, title, (bench) => {
      const [page] = freshPages(bench, 1);
      bench.ring(queueOf(bench, 'reports')).give([{ buffer: page!, offset, length, isWritable: true }]);
    }),
  ),
  hostileCase('readable-report', 'a report in a readable buffer', (bench) =>
    give(bench, queueOf(bench, 'reports'), new Uint8Array(BALLOON_PAGE_SIZE)),
  ),
];

const CLAUSES: readonly Clause[] = [
  { section: FIELDS, level: 'text', requires: 'num_pages and actual' },
  { section: OPERATION, level: 'text', requires: 'pages in and out of the balloon, and no others' },
  { section: '5.5.6.3', level: 'text', requires: 'a buffer of statistics that is kept until others are wanted' },
  { section: STATISTICS, level: 'MUST', requires: 'statistics in any order, with any tags' },
  { section: '5.5.6.7', level: 'text', requires: 'reports of free pages' },
  { section: REPORTING, level: 'MUST', requires: 'reported pages that become nothing but poison' },
  {
    section: '5.5.6.5.2',
    level: 'MUST',
    requires: 'hints of the current round only, and pages that stay once it is done',
    unseen: 'a device asks for hints when its host migrates, which no driver can make it do',
  },
];

/** The cases of a memory balloon (specification 1.4 section 5.5). */
export const BALLOON_CASES: DeviceCases = {
  clauses: CLAUSES,
  queues: [INFLATE_QUEUE, DEFLATE_QUEUE],
  open: async () => (_n, bench) => inflation(bench, USUAL_PAGES),
  unprepared: (_n, bench) => inflation(bench, USUAL_PAGES),
  requestOn: (queue, usual) => (queue <= DEFLATE_QUEUE ? { ...usual, queue } : undefined),
  cases: CASES,
};
