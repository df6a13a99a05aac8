import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  BackEndProgram,
  isFailure,
  planCases,
  PROTOCOL_CASES,
  ProtocolRun,
  type CaseResult,
} from '@virtio-platform/conform';
import { loadProfile } from '@virtio-platform/profile';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PROTOCOL_BUGS } from './protocol-bugs.ts';
import { canCompile, NEEDS } from './wrong-run.ts';

const SOURCE = fileURLToPath(new URL('protocol-back-end.c', import.meta.url));
const CASES = planCases(PROTOCOL_CASES);
const IDS = CASES.map(({ id }) => id);

/** Every fourth of them: each starts a program and waits for it. `npm run bugs` tries all. */
const BUGS = Object.entries(PROTOCOL_BUGS).filter((_, at) => process.env['ALL_BUGS'] !== undefined || at % 4 === 0);

/** The ids that an entry of {@link PROTOCOL_BUGS} stands for. */
function idsOf(entry: string): string[] {
  const id = `vhost-user/${entry}`;
  return IDS.filter((each) => each === id || each === `${id}/split` || each === `${id}/packed`);
}

describe.skipIf(!canCompile)(`a vhost-user back-end with one bug of the protocol (${NEEDS})`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-wrong-'));
  const program = join(folder, 'protocol-back-end');
  beforeAll(() => execFileSync('gcc', ['-O1', '-Wall', '-Wextra', '-Werror', SOURCE, '-o', program]));
  afterAll(() => rmSync(folder, { recursive: true }));

  /** Runs the cases that `isWanted` says on the back-end with a bug. */
  async function tryBug(
    bug: string,
    isWanted: (id: string) => boolean,
    patienceMs: number,
    onResult?: (result: CaseResult, folderOfSocket: string) => void,
  ): Promise<readonly CaseResult[]> {
    const profile = await loadProfile({
      profile: 'wrong',
      platform: { use: '@virtio-platform/platform-legacy' },
      machine: { use: '@virtio-platform/machine-vhost-user', memory: '16MiB', command: [program, '{socket}', bug] },
      device: { type: 'block' },
      workload: { kind: 'read', requests: 1, depth: 1, blockSize: '4KiB' },
    });
    const backEnd = BackEndProgram.of(profile)!;
    const run = new ProtocolRun({
      type: profile.device.type,
      socket: backEnd.socket,
      program: backEnd,
      cases: CASES.filter(({ id }) => isWanted(id)),
      patienceMs,
      settleMs: 2,
      onResult: (result) => onResult?.(result, dirname(backEnd.socket)),
    });
    try {
      return await run.run();
    } finally {
      run.end();
      await backEnd.dispose();
    }
  }

  it('passes every case where it has none, and each case is one that a bug fails', { timeout: 60_000 }, async () => {
    const results = await tryBug('none', () => true, 2000);
    expect(results.filter(({ verdict }) => verdict !== 'pass').map(({ id, seen }) => `${id}: ${seen}`)).toEqual([]);
    const found = new Set(Object.values(PROTOCOL_BUGS).flatMap((entries) => entries.flatMap(idsOf)));
    expect(IDS.filter((id) => !found.has(id))).toEqual([]);
  });

  it('passes where it finds late that a connection ended, with buffers that it then serves', async () => {
    const wanted = /reconnect-(with-buffers|while-running)|new-connection-is-new/;
    const results = await tryBug('takes-its-time', (id) => wanted.test(id), 2000);
    expect(results.map(({ id, verdict, seen }) => `${verdict} ${id} ${seen}`.trim())).toEqual(
      IDS.filter((id) => wanted.test(id)).map((id) => `pass ${id}`),
    );
  });

  it('names cases that there are', () => {
    const unknown = Object.values(PROTOCOL_BUGS).flatMap((entries) =>
      entries.filter((entry) => idsOf(entry).length === 0),
    );
    expect(unknown).toEqual([]);
  });

  it('is started again where it is killed in the middle of a case, and nothing of it stays', async () => {
    const socketFolders = new Set<string>();
    let count = 0;
    const results = await tryBug(
      'none',
      (id) => id.includes('reconnect-often') || id.includes('ring-starts'),
      1000,
      (_, folderOfSocket) => {
        socketFolders.add(folderOfSocket);
        // The next case has begun by then.
        if (++count === 2) setTimeout(() => processesOf(program).forEach((pid) => process.kill(pid, 'SIGKILL')), 2);
      },
    );
    const gone = results.filter(({ verdict }) => verdict !== 'pass');
    expect(gone.map(({ verdict, seen }) => [verdict, seen])).toEqual([['gone', expect.stringContaining('SIGKILL')]]);
    expect(results).toHaveLength(7);
    expect(processesOf(program)).toEqual([]);
    expect([...socketFolders].map((each) => existsSync(each))).toEqual([false]);
  });

  it.each(BUGS)('is found where its bug is: %s', async (bug, entries) => {
    const ids = entries.flatMap(idsOf);
    const results = await tryBug(bug, (id) => ids.includes(id), 100);
    expect(
      results
        .filter(isFailure)
        .map(({ id }) => id)
        .toSorted(),
    ).toEqual(ids.toSorted());
  });
});

/** The processes that run a program. */
function processesOf(program: string): number[] {
  return readdirSync('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    try {
      const [file] = readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0');
      return file === program ? [Number(entry)] : [];
    } catch {
      // It ended meanwhile.
      return [];
    }
  });
}
