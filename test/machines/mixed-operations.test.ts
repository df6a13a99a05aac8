import { randomInt } from 'node:crypto';
import { join } from 'node:path';
import { missingProgram } from '@virtio-platform/host';
import { loadProfiles, type Profile } from '@virtio-platform/profile';
import { runProfile } from '@virtio-platform/runner';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';
import { QEMU_TESTS, STORAGE_DAEMON_TESTS } from './qemu-installed.ts';

/** Runs of each type on each machine, each with a seed of its own; `npm run mixed` makes 10, so 10,000 operations. */
const RUNS = Number(process.env['MIXED_RUNS'] ?? 1);
/** New values for each run; in CI the same ones, so that a commit fails for what it changes. */
const draw = process.env['CI'] === undefined ? randomInt : (limit: number): number => 20_260_101 % limit;
/** Operations of a run. */
const OPERATIONS = 1000;
/** A failure is made smaller for no longer than this. */
const SHRINKING_MS = 60_000;

const DPDK_TESTS = {
  mayRun: process.env['CI'] !== undefined || missingProgram('dpdk-testpmd') === undefined,
  needs: 'needs dpdk-testpmd: apt-get install dpdk-dev librte-net-vhost23 librte-mempool-ring23',
};
const EMBEDDED = { mayRun: true, needs: 'nothing' };
const QEMU_DPDK = { mayRun: QEMU_TESTS.mayRun && DPDK_TESTS.mayRun, needs: DPDK_TESTS.needs };

/** Each type on each machine that has it: the profiles whose workload is `mixed`, and what is needed. */
const CELLS: readonly (readonly [string, string, string, typeof EMBEDDED])[] = [
  ['block', 'the embedded machine', 'block-discard.yaml', EMBEDDED],
  ['block', 'QEMU', 'qemu/block-mixed.yaml', QEMU_TESTS],
  ['block', 'vhost-user (qemu-storage-daemon)', 'vhost-user/mixed.yaml', STORAGE_DAEMON_TESTS],
  ['net', 'the embedded machine', 'net-mixed.yaml', EMBEDDED],
  ['net', 'QEMU', 'qemu/modern.yaml', QEMU_TESTS],
  ['net', 'QEMU, four pairs', 'qemu/net-multiqueue.yaml', QEMU_DPDK],
  ['net', "vhost-user (DPDK's testpmd), four pairs", 'vhost-user/dpdk-multiqueue.yaml', DPDK_TESTS],
  ['console', 'the embedded machine', 'console-hot-plug.yaml', EMBEDDED],
  ['console', 'QEMU', 'qemu/console.yaml', QEMU_TESTS],
  ['entropy', 'the embedded machine', 'entropy-mixed.yaml', EMBEDDED],
  ['entropy', 'QEMU', 'qemu/entropy.yaml', QEMU_TESTS],
  ['scsi', 'the embedded machine', 'scsi-changes.yaml', EMBEDDED],
  ['scsi', 'QEMU', 'qemu/scsi.yaml', QEMU_TESTS],
  ['balloon', 'the embedded machine', 'balloon.yaml', EMBEDDED],
  ['balloon', 'QEMU', 'qemu/balloon.yaml', QEMU_TESTS],
];

/** The profiles of a file that run `mixed` to its end. */
async function mixedProfiles(name: string): Promise<Profile[]> {
  const profiles = await loadProfiles(join(ROOT, 'profiles', name));
  return profiles.filter(({ workload, expect: { outcome } }) => workload.kind === 'mixed' && outcome !== 'failed');
}

describe.each(CELLS)('mixed operations: %s on %s', (_type, _machine, name, { mayRun, needs }) => {
  const timeout = 60_000 + SHRINKING_MS + RUNS * 20_000;
  it.skipIf(!mayRun)(`are as the model has them, whatever the seed (${needs})`, { timeout }, async () => {
    const profiles = await mixedProfiles(name);
    expect(profiles.length).toBeGreaterThan(0);
    const first = draw(profiles.length);
    // As examples, so that no run has fewer operations; a failure is made smaller all the same.
    const examples = Array.from({ length: RUNS }, (_, run): [number, number, number, number] => {
      const at = (first + run) % profiles.length;
      return [at, draw(2 ** 32), OPERATIONS, profiles[at]!.workload.depth];
    });
    const [index, seeds] = [fc.nat(profiles.length - 1), fc.nat(2 ** 32 - 1)];
    const positive = fc.integer({ min: 1, max: OPERATIONS });
    await fc.assert(
      fc.asyncProperty(index, seeds, positive, positive, async (at, seed, count, depth) => {
        const profile = profiles[at]!;
        const workload = { ...profile.workload, seed, depth, requests: count };
        const report = await runProfile({ ...profile, workload });
        expect([profile.name, report.failure, report.workload.mismatches.first]).toEqual([profile.name, null, []]);
        expect(report.workload).toMatchObject({ requests: count, errors: 0, verified: true });
      }),
      { examples, numRuns: RUNS, interruptAfterTimeLimit: SHRINKING_MS + RUNS * 10_000 },
    );
  });
});
