import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadProfile } from '@virtio-platform/profile';
import { runProfile, type RunReport } from '@virtio-platform/runner';
import type { CapturedDevice } from './captured-features.ts';
import type { FeatureCase } from './feature-cases.ts';

/** Machine and platform of each case, as a profile has them. */
const CASES: Readonly<Record<string, { readonly machine: object; readonly platform: object }>> = {
  'pc-legacy': machine('pc', 'legacy'),
  q35: machine('q35', 'legacy'),
  'q35-iommu': machine('q35', 'intel-iommu', { iommu: 'intel' }),
  pseries: machine('pseries', 'pseries'),
  'pseries-iommu': machine('pseries', 'pseries'),
};
const WORKLOADS = {
  balloon: { kind: 'mixed' },
  block: { kind: 'write-read-verify', blockSize: '512B' },
  net: { kind: 'echo', blockSize: '1KiB' },
  console: { kind: 'echo', blockSize: '512B' },
  entropy: { kind: 'read', blockSize: '512B' },
} as const;

function machine(board: string, platform: string, more: object = {}): { machine: object; platform: object } {
  return {
    machine: { use: '@virtio-platform/machine-qemu', board, memory: board === 'pseries' ? '256MiB' : '64MiB', ...more },
    platform: { use: `@virtio-platform/platform-${platform}` },
  };
}

/** Drives a device that QEMU made by the same properties as the captured one, with a few requests. */
export async function driveDevice(from: FeatureCase, { type, packed, offered }: CapturedDevice): Promise<RunReport> {
  // The one bit that no driver is shown.
  const offers = offered.names.filter((name) => name !== 'BIT_30');
  const content = {
    profile: from.name,
    summary: 'A device as Linux was given it.',
    ...CASES[from.name],
    // A console of one port would not offer CONSOLE_MULTIPORT.
    device: { type, interface: from.interface, offers, ...(type === 'console' && { ports: 2 }) },
    driver: { interface: from.interface },
    queue: { layout: packed ? 'packed' : 'split' },
    workload: { ...WORKLOADS[type], requests: 100, depth: 8 },
  };
  const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
  try {
    const path = join(folder, 'profile.yaml');
    // JSON is YAML.
    writeFileSync(path, JSON.stringify(content));
    return await runProfile(await loadProfile(path));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
