import { loadProfile, type Profile } from '@virtio-platform/profile';
import { casesOf, ConformRun, isFailure, planCases, type CaseResult, type PlannedCase } from '../../src/index.ts';
import { BUGS } from './all-bugs.ts';
import { BrokenDevice, type Bug } from './broken-device.ts';

/** The embedded block device, with everything that it can offer. */
export async function embeddedBlock(): Promise<Profile> {
  return await loadProfile({
    profile: 'embedded-block',
    platform: { use: '@virtio-platform/platform-legacy' },
    machine: { use: '@virtio-platform/machine-simulated', memory: '8MiB' },
    device: { type: 'block', serial: 'conform' },
    workload: { kind: 'read', requests: 1, depth: 1, blockSize: '512B' },
  });
}

/** Runs the cases that `isWanted` says on the shipped device, with a bug. */
export async function tryBug(
  profile: Profile,
  bug: Bug | undefined,
  isWanted: (id: string) => boolean,
): Promise<readonly CaseResult[]> {
  const device = new BrokenDevice(bug);
  const cases = planCases(casesOf(profile.device.type)).filter(({ id }) => isWanted(id));
  const run = new ConformRun({
    profile: device.profileOf(profile),
    composition: device.watchers,
    wrap: (machine) => device.wrap(machine),
    cases,
    patienceMs: 15,
    settleMs: 1,
  });
  try {
    return await run.run();
  } finally {
    await run.end();
  }
}

/** Calls `use` with what runs one case after the other on the shipped device, with a bug. */
export async function withBug<Result>(
  profile: Profile,
  name: string | undefined,
  use: (runOne: (planned: PlannedCase) => Promise<CaseResult>) => Promise<Result>,
): Promise<Result> {
  const device = new BrokenDevice(BUGS.find((bug) => bug.name === name));
  const run = new ConformRun({
    profile: device.profileOf(profile),
    composition: device.watchers,
    wrap: (machine) => device.wrap(machine),
    cases: [],
    patienceMs: 15,
    settleMs: 1,
  });
  try {
    return await use((planned) => run.runOne(planned));
  } finally {
    await run.end();
  }
}

/** The ids of the cases that failed. */
export function failuresIn(results: readonly CaseResult[]): readonly string[] {
  return results.filter(isFailure).map(({ id }) => id);
}
