import { closeSync, openSync } from 'node:fs';
import { DirtyLog, greetForLog, LOG_PAGE, setLogging, startLogging } from '../../protocol/dirty-log.ts';
import { HAS_LOG } from '../../protocol/iotlb-needs.ts';
import { payloadOf } from '../../protocol/payload.ts';
import type { ProtocolBench } from '../../protocol/protocol-bench.ts';
import type { ProtocolCase } from '../../protocol/protocol-case.ts';

const BASE = 'SET_LOG_BASE';

function hostile(id: string, clause: string, title: string, run: ProtocolCase['run']): ProtocolCase {
  const common = { level: 'MUST', isHostile: true, needs: HAS_LOG } as const;
  return { id: `vhost-user/log-${id}`, clause: `vhost-user: ${clause}`, title, ...common, run };
}

/** Says where the log is, whatever the answer is, and has the back-end write. */
async function logTo(
  bench: ProtocolBench,
  size: bigint,
  offset: bigint,
  descriptors: readonly number[],
): Promise<void> {
  greetForLog(bench);
  bench.frontEnd.send(BASE, payloadOf(size, offset), { descriptors });
  setFeatures(bench);
  await write(bench);
}

/** Accepts LOG_ALL; answers may be those to what was before. */
function setFeatures(bench: ProtocolBench): void {
  bench.frontEnd.send('SET_FEATURES', payloadOf(bench.accepted.with(26).bits));
  bench.outlast();
}

async function write(bench: ProtocolBench): Promise<void> {
  bench.share();
  const ring = bench.startQueues();
  ring.give(bench.layOut().segments);
  await bench.settle();
}

/** Sizes and offsets of a log that no front-end gives, in a file of two pages. */
const PLACES: Readonly<Record<string, readonly [title: string, size: bigint, offset: bigint]>> = {
  'of-no-bytes': ['of no bytes', 0n, 0n],
  'of-all-bytes': ['of 2^64 - 1 bytes', 0xffff_ffff_ffff_ffffn, 0n],
  'that-wraps': ['whose end wraps', 4096n, 0xffff_ffff_ffff_f800n],
  'behind-its-file': ['that starts behind the end of its file', 4096n, 1n << 30n],
  'longer-than-its-file': ['that is longer than its file', 1n << 34n, 0n],
  'at-an-odd-offset': ['at an odd offset', 4096n, 13n],
};

/** Front-ends that say wrong things of a dirty log. */
export const LOG_HOSTILE_CASES: readonly ProtocolCase[] = [
  ...Object.entries(PLACES).map(([name, [what, size, offset]]) =>
    hostile(name, BASE, `survives a dirty log ${what}`, async (bench) => {
      using log = new DirtyLog();
      await logTo(bench, size, offset, [log.descriptor]);
    }),
  ),
  ...(
    [
      ['folder', '/'],
      ['device', '/dev/null'],
    ] as const
  ).map(([name, path]) =>
    hostile(`is-a-${name}`, BASE, `survives a dirty log that is a ${name}`, async (bench) => {
      const file = openSync(path, 'r');
      try {
        await logTo(bench, 4096n, 0n, [file]);
      } finally {
        closeSync(file);
      }
    }),
  ),
  hostile('is-an-event', BASE, 'survives a dirty log that is an event descriptor', async (bench) => {
    await logTo(bench, 4096n, 0n, [bench.doorbell().descriptor]);
  }),
  hostile('with-2-descriptors', BASE, 'survives a dirty log with two files', async (bench) => {
    using log = new DirtyLog();
    await logTo(bench, 4096n, 0n, [log.descriptor, log.descriptor]);
  }),
  hostile('missing', 'Migration', 'survives LOG_ALL without a log', async (bench) => {
    greetForLog(bench);
    setFeatures(bench);
    await write(bench);
  }),
  hostile(
    'used-ring-behind',
    'SET_VRING_ADDR',
    'writes nothing behind the log for a used ring that is there',
    async (bench) => {
      using log = new DirtyLog();
      const ring = startLogging(bench, log);
      await bench.serve();
      bench.defy('SET_VRING_ADDR', bench.addressPayload(ring, BigInt((log.size + 8) * 8 * LOG_PAGE)));
      ring.give(bench.layOut().segments);
      await bench.settle();
      const at = log.firstByte(false);
      if (at >= 0) bench.fail(`byte ${at} of the file was written, and its log ends at ${log.size}`);
    },
  ),
  hostile(
    'used-ring-largest',
    'SET_VRING_ADDR',
    'survives a used ring at the largest address of the log',
    async (bench) => {
      using log = new DirtyLog();
      const ring = startLogging(bench, log);
      bench.defy('SET_VRING_ADDR', bench.addressPayload(ring, 0xffff_ffff_ffff_fff0n));
      ring.give(bench.layOut().segments);
      await bench.settle();
    },
  ),
  hostile('many', 'Migration', 'survives many logs, one after the other, while rings run', async (bench) => {
    using first = new DirtyLog();
    const ring = startLogging(bench, first);
    for (let n = 0; n < 40; n++) {
      using log = new DirtyLog();
      log.give(bench);
      if (n < 8) ring.give(bench.layOut(n).segments);
    }
    await bench.settle();
  }),
  hostile('kick-without-descriptor', 'SET_LOG_FD', 'survives SET_LOG_FD without a descriptor', (bench) => {
    greetForLog(bench);
    bench.frontEnd.send('SET_LOG_FD');
    bench.outlast();
  }),
  hostile('kick-is-a-folder', 'SET_LOG_FD', 'survives a descriptor of SET_LOG_FD that is a folder', async (bench) => {
    using log = new DirtyLog();
    greetForLog(bench);
    log.give(bench);
    const folder = openSync('/', 'r');
    try {
      bench.defy('SET_LOG_FD', undefined, [folder]);
    } finally {
      closeSync(folder);
    }
    setFeatures(bench);
    await write(bench);
  }),
  hostile('kick-is-full', 'SET_LOG_FD', 'serves although the counter of SET_LOG_FD is full', async (bench) => {
    using log = new DirtyLog();
    greetForLog(bench);
    log.give(bench);
    const full = bench.doorbell();
    full.ring(0xffff_ffff_ffff_fffen);
    bench.tell('SET_LOG_FD', undefined, [full.descriptor]);
    setLogging(bench, true);
    bench.share();
    bench.startQueues();
    await bench.serve();
  }),
  hostile('size-cut', BASE, 'survives SET_LOG_BASE that is too short', (bench) => {
    using log = new DirtyLog();
    greetForLog(bench);
    bench.frontEnd.send(BASE, payloadOf(4096n), { descriptors: [log.descriptor] });
    bench.outlast();
  }),
];
