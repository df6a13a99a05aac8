import { loadProfile, type Profile, type ProfileObject } from '@virtio-platform/profile';
import { casesOf, ConformRun, isFailure, planCases, type CaseResult, type PlannedCase } from '../../src/index.ts';
import { BUGS } from './all-bugs.ts';
import { BrokenDevice, type Bug } from './broken-device.ts';

/** An embedded device, with everything that it can offer. */
async function embedded(
  device: NonNullable<ProfileObject['device']>,
  workload: { readonly kind: string; readonly blockSize?: string },
): Promise<Profile> {
  return await loadProfile({
    profile: 'embedded',
    platform: { use: '@virtio-platform/platform-legacy' },
    machine: { use: '@virtio-platform/machine-simulated', memory: '5MiB' },
    device,
    workload: { requests: 1, depth: 1, ...workload },
  });
}

/** The embedded block device. */
export async function embeddedBlock(): Promise<Profile> {
  return await embedded({ type: 'block', serial: 'conform', queues: 3 }, { kind: 'read', blockSize: '512B' });
}

/** What every embedded device can offer of the ring. */
const RING = [
  'VERSION_1',
  'RING_PACKED',
  'RING_EVENT_IDX',
  'RING_INDIRECT_DESC',
  'IN_ORDER',
  'NOTIFICATION_DATA',
  'RING_RESET',
  'SUSPEND',
];

/** The embedded block device behind the addresses of a platform. */
export async function embeddedBlockOn(platform: NonNullable<ProfileObject['platform']>): Promise<Profile> {
  const profile = {
    profile: 'embedded',
    platform,
    machine: { use: '@virtio-platform/machine-simulated', memory: '16MiB' },
    device: { type: 'block', serial: 'conform', queues: 3 },
    workload: { kind: 'read', requests: 1, depth: 1, blockSize: '512B' },
  } as const;
  const { type, settings } = (await loadProfile(profile)).device;
  const offers = [...RING, 'ACCESS_PLATFORM', ...type.model(settings, 'little').features.names(type.features)];
  return await loadProfile({ ...profile, device: { ...profile.device, offers } });
}

/** The embedded block device that takes no writes. */
export async function embeddedReadOnlyBlock(): Promise<Profile> {
  return await embedded({ type: 'block', readOnly: true }, { kind: 'read', blockSize: '512B' });
}

/** The embedded network device, with three pairs of queues. */
export async function embeddedNet(): Promise<Profile> {
  return await embedded({ type: 'net', queuePairs: 3, mtu: 1500, speed: 10_000 }, { kind: 'echo', blockSize: '100B' });
}

/** The embedded entropy device. */
export async function embeddedEntropy(): Promise<Profile> {
  return await embedded({ type: 'entropy' }, { kind: 'read', blockSize: '64B' });
}

/** The embedded SCSI host, with two request queues. */
export async function embeddedScsi(): Promise<Profile> {
  return await embedded(
    { type: 'scsi', queues: 2, disks: [{ capacity: '4MiB' }] },
    { kind: 'write-read-verify', blockSize: '512B' },
  );
}

/** The embedded console, with two ports. */
export async function embeddedConsole(): Promise<Profile> {
  return await embedded({ type: 'console', ports: 2 }, { kind: 'echo', blockSize: '16B' });
}

/** The embedded balloon. */
export async function embeddedBalloon(): Promise<Profile> {
  return await embedded({ type: 'balloon' }, { kind: 'inflate-deflate' });
}

/** Milliseconds that a device without a bug has for an answer: on a busy machine 15 are not enough. */
const PATIENCE_MS = 300;

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
    patienceMs: bug === undefined ? PATIENCE_MS : 15,
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
