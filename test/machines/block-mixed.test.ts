import { join } from 'node:path';
import { loadProfiles, type Profile } from '@virtio-platform/profile';
import { runProfile } from '@virtio-platform/runner';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';
import { QEMU_TESTS, STORAGE_DAEMON_TESTS } from './qemu-installed.ts';

/** Each run makes as many requests, and there are three on each machine: 10,000 and more. */
const RUNS = 3;
const LEAST = 3400;

/** Each machine with the profile of it, and whether it may run here. */
const MACHINES: readonly (readonly [string, string, boolean])[] = [
  ['the embedded machine', 'block-discard.yaml', true],
  [`QEMU (${QEMU_TESTS.needs})`, 'qemu/block-mixed.yaml', QEMU_TESTS.mayRun],
  [`qemu-storage-daemon (${STORAGE_DAEMON_TESTS.needs})`, 'vhost-user/mixed.yaml', STORAGE_DAEMON_TESTS.mayRun],
];

describe.each(MACHINES)('10,000 mixed requests of a disk of %s', (_, name, mayRun) => {
  it.skipIf(!mayRun)('are as the model has them, whatever the seed', { timeout: 120_000 }, async () => {
    const profiles = await loadProfiles(join(ROOT, 'profiles', name));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...profiles),
        fc.integer({ min: 0, max: 0xffff_ffff }),
        fc.integer({ min: LEAST, max: LEAST + 600 }),
        fc.integer({ min: 1, max: 32 }),
        async (profile, seed, requests, depth) => {
          const { differences, failure, workload } = await runProfile(seeded(profile, seed, requests, depth));
          expect([failure, differences]).toEqual([null, []]);
          expect(workload).toMatchObject({ requests, errors: 0, verified: true });
        },
      ),
      { numRuns: RUNS },
    );
  });
});

function seeded(profile: Profile, seed: number, requests: number, depth: number): Profile {
  return { ...profile, workload: { ...profile.workload, seed, requests, depth } };
}
