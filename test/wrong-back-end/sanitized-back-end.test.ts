import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  BackEndProgram,
  DeviceTrial,
  filterTrial,
  generateLegal,
  type FuzzFailure,
  type Operation,
} from '@virtio-platform/conform';
import { loadProfile } from '@virtio-platform/profile';
import { afterAll, describe, expect, it } from 'vitest';
import { canCompile, NEEDS } from './wrong-run.ts';

const SOURCE = fileURLToPath(new URL('protocol-back-end.c', import.meta.url));
/** What the back-end does not survive, between operations that have nothing to do with it. */
const SAMPLE: readonly Operation[] = [
  ...generateLegal(5, 6),
  { op: 'start', size: 16, with: [] },
  { op: 'want', notifications: false },
  { op: 'add', request: 1 },
  { op: 'descriptor', slot: 1, place: 'device', length: 0x1_0000, flags: 2, next: 0 },
  { op: 'publish' },
  { op: 'kick', isHonest: false },
  ...generateLegal(6, 6).slice(1),
];

describe.skipIf(!canCompile)(`a back-end that is built with AddressSanitizer (${NEEDS}, libasan)`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-wrong-'));
  const program = join(folder, 'sanitized-back-end');
  afterAll(() => rmSync(folder, { recursive: true }));

  it('is found by the function that its report names, with the fewest operations', { timeout: 60_000 }, async () => {
    execFileSync('gcc', ['-O1', '-g', '-fno-omit-frame-pointer', '-fsanitize=address', SOURCE, '-o', program]);
    const profile = await loadProfile({
      profile: 'sanitized',
      platform: { use: '@virtio-platform/platform-legacy' },
      machine: {
        use: '@virtio-platform/machine-vhost-user',
        memory: '16MiB',
        command: [program, '{socket}', 'copies-at-most-65535-bytes'],
      },
      device: { type: 'block' },
      workload: { kind: 'read', requests: 1, depth: 1, blockSize: '4KiB' },
    });
    const backEnd = BackEndProgram.of(profile)!;
    const trial = new DeviceTrial({
      profile: backEnd.profile,
      program: backEnd,
      plan: filterTrial(profile),
      patienceMs: 500,
      settleMs: 2,
      unconfirmedMs: 20,
    });
    const failures: FuzzFailure[] = [];
    try {
      await trial.boot();
      await trial.fuzz({
        runs: 1,
        seed: 1,
        corpus: [{ layout: 'split', operations: SAMPLE }],
        onFailure: (failure) => failures.push(failure),
      });
    } finally {
      await trial.end();
      await backEnd.dispose();
    }
    expect(failures.map(({ key }) => key)).toEqual(['AddressSanitizer: heap-buffer-overflow in complete']);
    const [{ operations, before }] = failures as [FuzzFailure];
    expect(operations.length).toBeLessThanOrEqual(8);
    expect(before).toBeGreaterThan(12);
    expect(operations.map(({ op }) => op)).toContain('descriptor');
  });
});
