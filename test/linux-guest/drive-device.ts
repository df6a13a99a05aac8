import { loadProfile, type ProfileObject } from '@virtio-platform/profile';
import { runProfile, type RunReport } from '@virtio-platform/runner';
import type { CapturedDevice } from './captured-features.ts';
import { WORKLOADS, type FeatureCase } from './feature-cases.ts';

/** Machine and platform of each case, as a profile has them. */
const CASES: Readonly<Record<string, Pick<ProfileObject, 'machine' | 'platform'>>> = {
  'pc-legacy': machine('pc', 'legacy'),
  q35: machine('q35', 'legacy'),
  'q35-iommu': machine('q35', 'intel-iommu', { iommu: 'intel' }),
  'q35-amd-iommu': machine('q35', 'amd-iommu', { iommu: 'amd' }),
  pseries: machine('pseries', 'pseries'),
  'pseries-iommu': machine('pseries', 'pseries'),
  'q35-virtio-iommu': machine('q35', 'virtio-iommu', { iommu: 'virtio' }),
  virt: machine('virt', 'legacy', { bus: 'pci' }),
  'virt-smmuv3': machine('virt', 'smmuv3', { iommu: 'smmuv3' }),
  'virt-virtio-iommu': machine('virt', 'virtio-iommu', { iommu: 'virtio' }),
  microvm: machine('microvm', 'legacy'),
  'microvm-legacy': machine('microvm', 'legacy'),
  'virt-mmio': machine('virt', 'legacy', { bus: 'mmio' }),
  'virt-mmio-legacy': machine('virt', 'legacy', { bus: 'mmio' }),
};

function machine(
  board: string,
  platform: string,
  more: ProfileObject['machine'] = {},
): Pick<ProfileObject, 'machine' | 'platform'> {
  return {
    machine: { use: '@virtio-platform/machine-qemu', board, memory: board === 'pseries' ? '256MiB' : '64MiB', ...more },
    platform: { use: `@virtio-platform/platform-${platform}` },
  };
}

/**
 * What our machine shows a driver of an offer: bit 30 to none, and RING_RESET not on virtio-mmio, where QEMU 7.2 has no
 * register for it.
 */
export function shownFeatures({ bus }: FeatureCase, { offered }: CapturedDevice): string[] {
  return offered.names.filter((name) => name !== 'BIT_30' && (name !== 'RING_RESET' || bus !== 'mmio'));
}

/** Drives a device that QEMU made by the same properties as the captured one, with a few requests. */
export async function driveDevice(from: FeatureCase, device: CapturedDevice): Promise<RunReport> {
  const { type, packed } = device;
  const offers = shownFeatures(from, device);
  const profile: ProfileObject = {
    profile: from.name,
    summary: 'A device as Linux was given it.',
    ...CASES[from.name],
    // A console of one port would not offer CONSOLE_MULTIPORT.
    device: { type, interface: from.interface, offers, ...(type === 'console' && { ports: 2 }) },
    // QEMU's SCSI host counts the data that it was given in the used length.
    driver: { interface: from.interface, ...(type === 'scsi' && { usedLength: 'clamp' }) },
    queue: { layout: packed ? 'packed' : 'split' },
    workload: { ...WORKLOADS[type], requests: 100, depth: 8 },
  };
  return await runProfile(await loadProfile(profile));
}
