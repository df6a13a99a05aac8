import { type BenchSegment, BOTH_LAYOUTS, type LaidOutRequest } from '@virtio-platform/core';
import { DirtyLog, greetForLog, LOG_PAGE, setLogging, startLogging } from '../../protocol/dirty-log.ts';
import { HAS_LOG } from '../../protocol/iotlb-needs.ts';
import { tablePayload } from '../../protocol/payload.ts';
import type { ProtocolBench } from '../../protocol/protocol-bench.ts';
import type { ProtocolCase } from '../../protocol/protocol-case.ts';
import { SpareMemory } from '../../protocol/spare-memory.ts';

const MIGRATION = 'Migration';
/** Guest addresses for the used ring in the log: pages of which nothing else is. */
const USED_RING = 6000 * LOG_PAGE;
/** Where memory is whose pages have numbers of more than 16 bits, and bytes of a log that covers it. */
const HIGH_GUEST = 0x4000_0000n;
const HIGH_LOG_BYTES = 0x1_0000;

type Rest = Partial<Pick<ProtocolCase, 'layouts' | 'level'>>;

function logged(
  id: string,
  title: string,
  run: ProtocolCase['run'],
  rest: Rest = {},
  clause = MIGRATION,
): ProtocolCase {
  const { level = 'MUST', layouts } = rest;
  const full = { id: `vhost-user/log-${id}`, clause: `vhost-user: ${clause}`, level, title, needs: HAS_LOG, run };
  return layouts === undefined ? full : { ...full, layouts };
}

/** Request `n` whose answer begins `phase` bytes behind the start of a page. */
function layOutOnPage(bench: ProtocolBench, phase: number, n = 0): LaidOutRequest {
  const laid = bench.layOut(n);
  const { writable } = laid.request;
  if (writable === 0) bench.skip('its requests have nothing for the device to write');
  const pages = Math.ceil((phase + writable) / LOG_PAGE);
  // Nothing else is in these pages.
  const whole = bench.memory.watched.allocate('what the device writes', pages * LOG_PAGE, LOG_PAGE);
  const segment: BenchSegment = { buffer: whole, offset: phase, length: writable, isWritable: true };
  const readable = laid.segments.filter(({ isWritable }) => isWritable !== true);
  const check: LaidOutRequest['check'] = ({ length }) => laid.request.check(whole.read(phase, writable), length);
  return { ...laid, segments: [...readable, segment], check };
}

/** Request 0 whose answer is in a spare memory. */
function layOutIn(bench: ProtocolBench, spare: SpareMemory): LaidOutRequest {
  const laid = bench.layOut();
  if (laid.request.writable === 0) bench.skip('its requests have nothing for the device to write');
  const buffer = spare.buffer('what the device writes', 0, laid.request.writable);
  const readable = laid.segments.filter(({ isWritable }) => isWritable !== true);
  const check: LaidOutRequest['check'] = ({ length }) => laid.request.check(buffer.read(), length);
  return { ...laid, segments: [...readable, { buffer, isWritable: true }], check };
}

/** Serves a request, and returns the pages in which its answer changed a byte. */
async function serve(bench: ProtocolBench, laid: LaidOutRequest): Promise<readonly number[]> {
  const { buffer } = laid.segments.at(-1)!;
  const before = buffer.read();
  const ring = bench.ring();
  await bench.takeBack(laid, ring, ring.give(laid.segments));
  const after = buffer.read();
  const pages = new Set<number>();
  for (const [i, byte] of after.entries())
    if (byte !== before[i]) pages.add(Math.floor((buffer.address + i) / LOG_PAGE) * LOG_PAGE);
  return [...pages];
}

/** Serves a request, and looks that each page that it wrote to is marked. */
async function serveMarked(bench: ProtocolBench, log: DirtyLog, laid: LaidOutRequest): Promise<void> {
  const missing = (await serve(bench, laid)).find((page) => !log.isMarked(page));
  bench.check(missing === undefined, `it wrote to the page at 0x${missing?.toString(16)}, which the log does not have`);
}

/** Sets the addresses of the ring of requests again, with that of its used ring in the log, and its flag. */
function logUsedRing(bench: ProtocolBench, address: number, isLogged = true): void {
  const payload = bench.addressPayload(bench.ring(), BigInt(address));
  if (!isLogged) new DataView(payload.buffer).setUint32(4, 0, true);
  bench.tell('SET_VRING_ADDR', payload);
}

function isUnmarked(bench: ProtocolBench, log: DirtyLog, when: string): void {
  const at = log.firstByte(true);
  bench.check(at < 0, `byte ${at - log.offset} of the log is 0x${log.bytes[at]?.toString(16)} ${when}`);
}

/** A back-end that marks what it writes in a dirty log, so that a guest is moved while it runs. */
export const LOG_CASES: readonly ProtocolCase[] = [
  logged(
    'base-answered',
    'answers SET_LOG_BASE, which a front-end waits for',
    (bench) => {
      using log = new DirtyLog();
      greetForLog(bench);
      log.give(bench);
    },
    {},
    'SET_LOG_BASE',
  ),
  logged(
    'data',
    'marks the page of what it wrote',
    async (bench) => {
      using log = new DirtyLog();
      startLogging(bench, log);
      for (let n = 0; n < 3; n++) await serveMarked(bench, log, layOutOnPage(bench, 64, n));
    },
    { layouts: BOTH_LAYOUTS },
  ),
  logged(
    'data-on-two-pages',
    'marks both pages of what it wrote across their border',
    async (bench) => {
      using log = new DirtyLog();
      startLogging(bench, log);
      const half = Math.ceil(bench.request(0).writable / 2);
      await serveMarked(bench, log, layOutOnPage(bench, LOG_PAGE - half));
    },
    { layouts: BOTH_LAYOUTS },
  ),
  logged('last-byte-of-a-page', 'marks the page of which it wrote the last byte only', async (bench) => {
    using log = new DirtyLog();
    startLogging(bench, log);
    await serveMarked(bench, log, layOutOnPage(bench, LOG_PAGE - 1));
  }),
  logged('in-segments', 'marks the page of each segment that it wrote', async (bench) => {
    using log = new DirtyLog();
    startLogging(bench, log);
    const whole = layOutOnPage(bench, 0);
    const { buffer } = whole.segments.at(-1)!;
    const { writable } = whole.request;
    if (writable < 2) bench.skip('its requests have one byte for the device to write');
    const apart = bench.memory.watched.allocate('the last byte', LOG_PAGE, LOG_PAGE);
    const last: BenchSegment = { buffer: apart, offset: 9, length: 1, isWritable: true };
    const first: BenchSegment = { buffer, offset: 0, length: writable - 1, isWritable: true };
    const segments = [...whole.segments.slice(0, -1), first, last];
    const before = [buffer.read(), apart.read()];
    const ring = bench.ring();
    const id = ring.give(segments);
    await bench.until('return the buffer', () => ring.take()?.id === id);
    for (const [i, each] of [buffer, apart].entries()) {
      const isWritten = Buffer.compare(before[i]!, each.read()) !== 0;
      bench.check(!isWritten || log.isMarked(each.address), `it wrote to segment ${i + 1}, whose page is not marked`);
    }
  }),
  logged('high-page', 'marks pages whose numbers have more than 16 bits', async (bench) => {
    using log = new DirtyLog({ size: HIGH_LOG_BYTES });
    using spare = new SpareMemory(HIGH_GUEST);
    startLogging(bench, log);
    const files = [bench.memory.descriptor, spare.descriptor];
    bench.tell('SET_MEM_TABLE', tablePayload([bench.memory.region(), spare.region]), files);
    await serveMarked(bench, log, layOutIn(bench, spare));
  }),
  logged(
    'offset',
    'writes the log where it starts in its file, and nothing around it',
    async (bench) => {
      using log = new DirtyLog({ offset: 2 * LOG_PAGE });
      startLogging(bench, log);
      await serveMarked(bench, log, layOutOnPage(bench, 0));
      const at = log.firstByte(false);
      bench.check(at < 0, `byte ${at} of the file was written, and the log begins at ${log.offset}`);
    },
    {},
    'SET_LOG_BASE',
  ),
  logged('keeps-marks', 'leaves the marks of others as they are', async (bench) => {
    using log = new DirtyLog();
    startLogging(bench, log);
    const laid = layOutOnPage(bench, 0);
    const byte = Math.floor(laid.segments.at(-1)!.buffer.address / LOG_PAGE / 8);
    const bit = 1 << (Math.floor(laid.segments.at(-1)!.buffer.address / LOG_PAGE) % 8);
    log.bytes[byte] = 0xff & ~bit;
    await serveMarked(bench, log, laid);
    bench.equal('the byte of the log', log.bytes[byte], 0xff);
  }),
  logged('marks-again', 'marks a page again after the front-end took its mark', async (bench) => {
    using log = new DirtyLog();
    startLogging(bench, log);
    const laid = layOutOnPage(bench, 0);
    for (let n = 0; n < 3; n++) {
      laid.segments.at(-1)!.buffer.write(new Uint8Array(LOG_PAGE).fill(0xaa));
      log.clear();
      await serveMarked(bench, log, laid);
    }
  }),
  logged(
    'started-while-running',
    'begins to mark while rings run',
    async (bench) => {
      using log = new DirtyLog();
      greetForLog(bench);
      bench.share();
      bench.startQueues();
      await bench.serve(2);
      log.give(bench);
      setLogging(bench, true);
      await serveMarked(bench, log, layOutOnPage(bench, 0));
    },
    {},
    'SET_FEATURES',
  ),
  logged(
    'stopped-while-running',
    'marks nothing once LOG_ALL is off again',
    async (bench) => {
      using log = new DirtyLog();
      startLogging(bench, log);
      await serve(bench, layOutOnPage(bench, 0));
      setLogging(bench, false);
      log.clear();
      await serve(bench, layOutOnPage(bench, 0, 1));
      isUnmarked(bench, log, 'although LOG_ALL is off');
    },
    { level: 'SHOULD' },
    'SET_FEATURES',
  ),
  logged(
    'off',
    'marks nothing where LOG_ALL was not accepted',
    async (bench) => {
      using log = new DirtyLog();
      greetForLog(bench);
      log.give(bench);
      bench.share();
      bench.startQueues();
      await serve(bench, layOutOnPage(bench, 0));
      isUnmarked(bench, log, 'although LOG_ALL was not accepted');
    },
    { level: 'SHOULD' },
  ),
  logged(
    'replaced',
    'marks in the log that came last, and in the one before no more',
    async (bench) => {
      using before = new DirtyLog();
      using after = new DirtyLog();
      startLogging(bench, before);
      await serve(bench, layOutOnPage(bench, 0));
      after.give(bench);
      before.clear();
      await serveMarked(bench, after, layOutOnPage(bench, 0, 1));
      isUnmarked(bench, before, 'after another log came');
    },
    {},
    'SET_LOG_BASE',
  ),
  logged(
    'replaced-by-longer',
    'marks in a log that is longer than the one before',
    async (bench) => {
      using before = new DirtyLog({ size: 1024, file: LOG_PAGE });
      using after = new DirtyLog({ size: HIGH_LOG_BYTES });
      using spare = new SpareMemory(HIGH_GUEST);
      startLogging(bench, before);
      await serve(bench, layOutOnPage(bench, 0));
      after.give(bench);
      const files = [bench.memory.descriptor, spare.descriptor];
      bench.tell('SET_MEM_TABLE', tablePayload([bench.memory.region(), spare.region]), files);
      await serveMarked(bench, after, layOutIn(bench, spare));
    },
    {},
    'SET_LOG_BASE',
  ),
  logged(
    'used-ring',
    'marks its writes to the used ring where the flag of the ring says so',
    async (bench) => {
      using log = new DirtyLog();
      startLogging(bench, log);
      logUsedRing(bench, USED_RING);
      await bench.serve();
      bench.check(log.isMarked(USED_RING), 'the page of the used ring is not marked');
    },
    {},
    'SET_VRING_ADDR',
  ),
  logged(
    'used-ring-on-two-pages',
    'marks the page of each used entry',
    async (bench) => {
      using log = new DirtyLog();
      startLogging(bench, log);
      logUsedRing(bench, USED_RING + LOG_PAGE - 64);
      await bench.serve(12);
      for (const page of [USED_RING, USED_RING + LOG_PAGE])
        bench.check(log.isMarked(page), `page ${page / LOG_PAGE} of the used ring is not marked`);
    },
    {},
    'SET_VRING_ADDR',
  ),
  logged(
    'used-ring-elsewhere',
    'marks the used ring at the address for the log, not at its own',
    async (bench) => {
      using log = new DirtyLog();
      startLogging(bench, log);
      // A ring whose used area has a page of its own.
      const own = bench.memory.watched.allocate('a page', LOG_PAGE, LOG_PAGE);
      logUsedRing(bench, own.address);
      await bench.serve();
      bench.check(log.isMarked(own.address), 'the page that the used ring has in the log is not marked');
    },
    {},
    'SET_VRING_ADDR',
  ),
  logged(
    'used-ring-unasked',
    'does not mark a used ring without the flag of the ring',
    async (bench) => {
      using log = new DirtyLog();
      startLogging(bench, log);
      logUsedRing(bench, USED_RING, false);
      await bench.serve();
      bench.check(!log.isMarked(USED_RING), 'the used ring is marked, and its flag is 0');
    },
    { level: 'SHOULD' },
    'SET_VRING_ADDR',
  ),
  logged(
    'used-ring-stopped',
    'ends to mark the used ring where its flag goes',
    async (bench) => {
      using log = new DirtyLog();
      startLogging(bench, log);
      logUsedRing(bench, USED_RING);
      await bench.serve();
      logUsedRing(bench, USED_RING, false);
      log.clear();
      await bench.serve();
      bench.check(!log.isMarked(USED_RING), 'the used ring is marked, and its flag is 0');
    },
    { level: 'SHOULD' },
    'SET_VRING_ADDR',
  ),
  logged(
    'kick-descriptor',
    'takes the descriptor of SET_LOG_FD',
    async (bench) => {
      using log = new DirtyLog();
      startLogging(bench, log);
      bench.tell('SET_LOG_FD', undefined, [bench.doorbell().descriptor]);
      await serveMarked(bench, log, layOutOnPage(bench, 0));
    },
    {},
    'SET_LOG_FD',
  ),
  logged('stopped-ring', 'marks nothing after the ring was stopped', async (bench) => {
    using log = new DirtyLog();
    startLogging(bench, log);
    logUsedRing(bench, USED_RING);
    await bench.serve(2);
    bench.stop();
    log.clear();
    await bench.settle(20);
    isUnmarked(bench, log, 'after the ring was stopped');
  }),
  logged('new-connection', 'marks nothing in the log of the connection before', async (bench) => {
    using log = new DirtyLog();
    startLogging(bench, log);
    await serve(bench, layOutOnPage(bench, 0));
    await bench.connect();
    log.clear();
    bench.start();
    await bench.serve();
    isUnmarked(bench, log, 'on a new connection without a log');
  }),
];
