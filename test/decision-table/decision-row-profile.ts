import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DecisionRow, DecisionTable } from '@virtio-platform/conformance';
import { loadProfile, type Profile } from '@virtio-platform/profile';
import type { RunReport } from '@virtio-platform/runner';

/** The platform section by which a row runs on the embedded machine, or `undefined` where it cannot. */
export function embeddedPlatform(
  row: DecisionRow,
  { platforms }: DecisionTable,
): Readonly<Record<string, unknown>> | undefined {
  if (row.embedded === false || row.kind === 'observed') return undefined;
  return platforms[row.embedded?.platform ?? row.platform!]?.profile;
}

/** What is said of a row's machine beside its platform. */
export interface RowMachine {
  readonly machine?: Readonly<Record<string, unknown>>;
  readonly workload?: Readonly<Record<string, unknown>>;
  readonly device?: Readonly<Record<string, unknown>>;
  readonly platform?: Readonly<Record<string, unknown>>;
}

/** Writes a row's case down as a profile, and loads it as any other. */
export async function rowProfile(
  folder: string,
  row: DecisionRow,
  platform: Readonly<Record<string, unknown>>,
  more: RowMachine = {},
): Promise<Profile> {
  const embedded = row.embedded === false ? {} : (row.embedded ?? {});
  // What its driver half declines is no key of a profile.
  const { declines: _, ...driver } = row.driver ?? {};
  const isBalloon = row.deviceType === 'balloon';
  const profile = {
    profile: `row-${row.id}`,
    platform: { ...platform, ...more.platform },
    machine: { use: '@virtio-platform/machine-simulated', memory: '16MiB', ...embedded.machine, ...more.machine },
    device: {
      ...(isBalloon ? { type: 'balloon' } : { type: 'block', capacity: '1MiB' }),
      interface: row.interface ?? 'modern',
      ...(row.offered && { offers: row.offered }),
      ...embedded.device,
      ...more.device,
    },
    driver: { privilege: row.privilege ?? 'kernel', ...driver },
    policy: row.policy ?? {},
    queue: { layout: row.offered?.includes('RING_PACKED') === true ? 'packed' : 'split', size: 64 },
    workload: {
      ...(isBalloon ? { kind: 'inflate-deflate' } : { kind: 'write-read-verify', blockSize: '4KiB' }),
      requests: 64,
      depth: 8,
      ...more.workload,
    },
  };
  const file = join(folder, `${profile.profile}.yaml`);
  // JSON is YAML, which has hexadecimal numbers too.
  writeFileSync(file, JSON.stringify(profile).replace(/"(0x[0-9a-f]+)"/g, '$1'));
  return await loadProfile(file);
}

/** What a run came to, in the words of the table: what completed has moved data, and left nothing behind. */
export function outcomeOf(report: RunReport): Readonly<Record<string, unknown>> {
  const { refusal, failure, features, path, workload, dma, faults } = report;
  const live = dma.live === 0 ? {} : { live: dma.live };
  const fault = faults.length === 0 ? {} : { fault: faults[0]!.cause };
  if (refusal !== null) return { refused: refusal.code, rule: refusal.rule, ...(dma.maps > 0 && { maps: dma.maps }) };
  if (failure !== null) return { fails: failure.code, ...fault, ...live };
  const accepted = features.accepted.toSorted();
  return { accepted, path, ...(!workload.verified && { verified: false }), ...fault, ...live };
}
