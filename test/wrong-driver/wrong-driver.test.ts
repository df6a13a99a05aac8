import { execFile, execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { deviceDescription, ownTemporaryFolder } from '@virtio-platform/conformance/testing';
import type { DeviceTypePlugin } from '@virtio-platform/core';
import type { Misbehavior } from '@virtio-platform/core/failure';
import block from '@virtio-platform/device-block';
import net from '@virtio-platform/device-net';
import { serveDevice, type DriverFinding, type ServeResult, type StrictMode } from '@virtio-platform/serve';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canCompile, NEEDS } from '../wrong-back-end/wrong-run.ts';

const SOURCE = fileURLToPath(new URL('wrong-driver.c', import.meta.url));

let folder: ReturnType<typeof ownTemporaryFolder>;
let program: string;
beforeAll(() => {
  folder = ownTemporaryFolder();
  program = join(folder.path, 'wrong-driver');
  if (canCompile) execFileSync('gcc', ['-O1', '-Wall', '-Wextra', '-Werror', SOURCE, '-o', program]);
});
afterAll(() => folder.remove());

/** What each mistake of the program is found as, and where. */
const MISTAKES: Readonly<Record<string, Partial<DriverFinding>>> = {
  'feature-not-offered': { code: 'DRV-FEATURE-NOT-OFFERED', clause: '2.2.1' },
  'feature-dependency': {
    code: 'DRV-FEATURE-DEPENDENCY',
    what: 'NET_HOST_TSO4 was accepted without NET_CSUM, which it needs',
  },
  'config-write': { code: 'DRV-CONFIG-WRITE' },
  'queue-size': { code: 'DRV-QUEUE-SIZE', queue: 0 },
  'ring-misaligned': { code: 'DRV-RING-MISALIGNED', queue: 0 },
  'notify-early': { code: 'DRV-NOTIFY-EARLY', clause: '3.1.1', queue: 0 },
  'notify-missing': { code: 'DRV-NOTIFY-MISSING', queue: 0 },
  'indirect-feature': { code: 'DRV-INDIRECT-FEATURE', buffer: 4, descriptor: 4 },
  'indirect-next': { code: 'DRV-INDIRECT-NEXT', descriptor: 4 },
  'indirect-nested': { code: 'DRV-INDIRECT-NESTED', buffer: 4, descriptor: 0, isInTable: true },
  'indirect-length': { code: 'DRV-INDIRECT-LENGTH', descriptor: 4 },
  'order-direction': { code: 'DRV-ORDER-DIRECTION', clause: '2.7.4.2, 2.8.17', descriptor: 6 },
  'chain-loop': { code: 'DRV-CHAIN-LOOP', buffer: 4, descriptor: 5 },
  'next-range': { code: 'DRV-NEXT-RANGE', descriptor: 5 },
  'length-zero': { code: 'DRV-LENGTH', descriptor: 5 },
  'head-range': { code: 'DRV-HEAD-RANGE' },
  'head-twice': { code: 'DRV-HEAD-IN-FLIGHT', buffer: 4 },
  'descriptor-shared': { code: 'DRV-DESCRIPTOR-SHARED', buffer: 7, descriptor: 5 },
  'index-jump': { code: 'DRV-AVAIL-INDEX' },
  'index-back': { code: 'DRV-AVAIL-INDEX' },
  'avail-flags': { code: 'DRV-AVAIL-FLAGS' },
  address: { code: 'DRV-ADDRESS', buffer: 4, descriptor: 5 },
  'request-header': { code: 'DRV-REQUEST-HEADER', clause: '5.2.6.1', descriptor: 4 },
  'request-status': { code: 'DRV-REQUEST-STATUS', descriptor: 4 },
  'request-range': {
    code: 'DRV-REQUEST-RANGE',
    what: 'queue 0: a request reads 1 sectors at sector 1048576 of a disk of 128',
  },
  'request-length': { code: 'DRV-REQUEST-LENGTH', descriptor: 5 },
  'request-feature': { code: 'DRV-REQUEST-FEATURE' },
  'packed-id-in-flight': { code: 'DRV-HEAD-IN-FLIGHT', buffer: 5 },
  'packed-id-range': { code: 'DRV-ID-RANGE', buffer: 20 },
  'packed-list-unavailable': { code: 'DRV-LIST-UNAVAILABLE' },
  'packed-event-flags': { code: 'DRV-EVENT-FLAGS', queue: 0 },
  'net-descriptor-changed': { code: 'DRV-DESCRIPTOR-CHANGED', buffer: 0, descriptor: 0 },
  'net-buffer-changed': { code: 'DRV-BUFFER-CHANGED', buffer: 0, descriptor: 0 },
  'net-head-in-flight': { code: 'DRV-HEAD-IN-FLIGHT', buffer: 0 },
  'net-direction': { code: 'DRV-REQUEST-DIRECTION', clause: '5.1.6.3.1', buffer: 1 },
};

/** Serves a device to the program. Gives what it printed, and what was found. */
async function drive(
  mistake: string,
  strict: StrictMode,
  misbehaves?: Misbehavior,
): Promise<{ readonly said: string } & ServeResult> {
  const isNet = mistake.startsWith('net-') || mistake === 'feature-dependency';
  const type: DeviceTypePlugin = isNet ? net : block;
  const stop = new AbortController();
  const socket = join(folder.path, `${mistake}-${strict}-${Object.keys(misbehaves ?? {}).join('')}.sock`);
  const { settings } = deviceDescription(type, isNet ? {} : { capacity: '64KiB' });
  const run = async (): Promise<string> => {
    try {
      const { stdout } = await promisify(execFile)(program, [socket, mistake]);
      return stdout.trim();
    } finally {
      stop.abort();
    }
  };
  let running: Promise<string> | undefined;
  const result = await serveDevice({
    type,
    settings,
    socket,
    strict,
    misbehaves,
    signal: stop.signal,
    onEvent: ({ kind }) => {
      if (kind === 'listening') running = run();
    },
  });
  const said = (await running) ?? '';
  return { said, ...result };
}

describe.skipIf(!canCompile)(`strict, under a driver with mistakes (${NEEDS})`, () => {
  it('finds each mistake, names it, and ends the device', async () => {
    const names = Object.keys(MISTAKES);
    const results = await Promise.all(names.map((name) => drive(name, 'fail')));
    const found = Object.fromEntries(results.map(({ failedBy }, i) => [names[i], failedBy]));
    expect(found).toMatchObject(MISTAKES);
    const said = results.map((result, i) => `${names[i]} ${result.said}`);
    expect(said.filter((line) => !/ (needs reset|gone)$/.test(line))).toEqual([]);
  });

  it('finds nothing where a driver makes none', async () => {
    for (const name of ['none', 'packed-none']) {
      const { said, findings } = await drive(name, 'fail');
      expect([name, said, findings]).toEqual([name, 'done', []]);
    }
  });

  it('advises against what is needless, and counts it', async () => {
    const { findings, failedBy } = await drive('notify-needless', 'fail');
    expect(failedBy).toBeUndefined();
    expect(findings).toMatchObject([{ code: 'DRV-NOTIFY-NEEDLESS', level: 'advice', queue: 0 }]);
  });

  it('only tells, with `warn`: the device goes on', async () => {
    const { findings, failedBy, said } = await drive('request-range', 'warn');
    expect([failedBy, said]).toEqual([undefined, 'nothing']);
    expect(findings).toMatchObject([{ code: 'DRV-REQUEST-RANGE', count: 1 }]);
  });
});

/** What the program sees of each way in which a device that is served can misbehave. */
const SEEN: Readonly<Partial<Record<keyof Misbehavior, string>>> = {
  late: 'late',
  short: 'short',
  lies: 'a lie',
  errors: 'an error',
  silent: 'silent',
  needsReset: 'needs reset',
  dies: 'gone',
};

describe.skipIf(!canCompile)(`a served device that misbehaves on purpose (${NEEDS})`, () => {
  it.each(['none', 'packed-none'])('is seen by its driver: %s', async (name) => {
    const ways = Object.keys(SEEN);
    const results = await Promise.all(ways.map((way) => drive(name, 'warn', { [way]: { nth: [5], by: 300 } })));
    expect(Object.fromEntries(results.map(({ said }, i) => [ways[i], said]))).toEqual(SEEN);
    expect(results.map(({ findings }) => findings)).toEqual(ways.map(() => []));
    expect(results.map(({ hasDied }) => hasDied)).toEqual(ways.map((way) => way === 'dies'));
  });
});
