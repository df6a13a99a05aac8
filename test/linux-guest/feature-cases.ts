import { DEBIAN_RELEASE, type DebianTarget } from './debian-packages.ts';

/** The slots of the devices of a case, in which the guest finds them. */
const FIRST_SLOT = 3;

/** One device that QEMU is given. */
export interface CaseDevice {
  readonly type: 'block' | 'net' | 'entropy' | 'console' | 'balloon' | 'scsi';
  readonly packed: boolean;
  /** On bus 0. */
  readonly slot: number;
}

/** One QEMU command line: a machine, and devices of every type, those with packed rings behind those without. */
export interface FeatureCase extends DebianTarget {
  readonly name: string;
  /** A platform of the decision table. */
  readonly platform: string;
  readonly interface: 'modern' | 'legacy';
  readonly devices: readonly CaseDevice[];
  /** QEMU's arguments. */
  readonly arguments: readonly string[];
  /** Of the kernel's command line. */
  readonly append: string;
  /** Kernel modules of the IOMMU. */
  readonly modules: readonly string[];
}

const TYPES = ['block', 'net', 'entropy', 'console', 'balloon', 'scsi'] as const;

/** The workload of each device type in a profile: requests that every device of these cases takes. */
export const WORKLOADS: Readonly<Record<CaseDevice['type'], { readonly kind: string; readonly blockSize?: string }>> = {
  balloon: { kind: 'mixed' },
  block: { kind: 'write-read-verify', blockSize: '512B' },
  net: { kind: 'echo', blockSize: '1KiB' },
  console: { kind: 'echo', blockSize: '512B' },
  entropy: { kind: 'read', blockSize: '512B' },
  scsi: { kind: 'mixed', blockSize: '4KiB' },
};

/** The arguments of each device type, without what they have in common. */
const DEVICES: Readonly<Record<CaseDevice['type'], string>> = {
  block: 'virtio-blk-pci,drive=disk',
  net: 'virtio-net-pci',
  entropy: 'virtio-rng-pci',
  console: 'virtio-serial-pci',
  balloon: 'virtio-balloon-pci',
  scsi: 'virtio-scsi-pci',
};

const PC = ['-machine', 'pc,accel=tcg', '-cpu', 'max', '-m', '256M'];
const Q35 = ['-machine', 'q35,accel=tcg,kernel-irqchip=split', '-cpu', 'max', '-m', '256M'];
const PSERIES = ['-machine', 'pseries,accel=tcg', '-m', '512M'];
/** With the processor `max` a boot takes five times as long. */
const ARM = ['-cpu', 'cortex-a57', '-m', '256M'];
const VIRT = ['-machine', 'virt,accel=tcg', ...ARM];
const VIRT_SMMU = ['-machine', 'virt,iommu=smmuv3,accel=tcg', ...ARM];
const VIRTIO_IOMMU = ['-device', 'virtio-iommu-pci'];
const IOMMU = 'disable-legacy=on,iommu_platform=on';

const AMD64: DebianTarget = { architecture: 'amd64', release: DEBIAN_RELEASE };
const ARM64: DebianTarget = { architecture: 'arm64', release: DEBIAN_RELEASE };
const PPC64EL: DebianTarget = { architecture: 'ppc64el', release: DEBIAN_RELEASE };
/** Debian's kernels before these have no driver of the virtio-iommu. */
const NEWER_AMD64: DebianTarget = { architecture: 'amd64', release: 'trixie' };
const NEWER_ARM64: DebianTarget = { architecture: 'arm64', release: 'trixie' };

/** What is compared with a real Linux guest. One boot has every device. */
export const FEATURE_CASES: readonly FeatureCase[] = [
  featureCase('pc-legacy', 'plain', AMD64, PC, 'disable-modern=on', [false]),
  featureCase('q35', 'plain', AMD64, Q35, 'disable-legacy=on', [false, true]),
  featureCase('q35-iommu', 'x86-translated', AMD64, [...Q35, '-device', 'intel-iommu'], IOMMU, [false, true]),
  featureCase('q35-amd-iommu', 'amd-translated', AMD64, [...Q35, '-device', 'amd-iommu'], IOMMU, [false, true]),
  featureCase('pseries', 'pseries-linear', PPC64EL, PSERIES, 'disable-legacy=on', [false, true]),
  featureCase('pseries-iommu', 'pseries-linear', PPC64EL, PSERIES, IOMMU, [false, true]),
  featureCase('q35-virtio-iommu', 'virtio-iommu', NEWER_AMD64, [...Q35, ...VIRTIO_IOMMU], IOMMU, [false, true]),
  featureCase('virt', 'plain', ARM64, VIRT, 'disable-legacy=on', [false, true]),
  featureCase('virt-smmuv3', 'smmuv3', ARM64, VIRT_SMMU, IOMMU, [false, true]),
  featureCase('virt-virtio-iommu', 'virtio-iommu', NEWER_ARM64, [...VIRT, ...VIRTIO_IOMMU], IOMMU, [false, true]),
];

function featureCase(
  name: string,
  platform: string,
  { architecture, release }: DebianTarget,
  machine: readonly string[],
  settings: string,
  layouts: readonly boolean[],
): FeatureCase {
  const devices = layouts
    .flatMap((packed) => TYPES.map((type) => ({ type, packed })))
    // QEMU takes one balloon.
    .filter(({ type, packed }) => type !== 'balloon' || !packed)
    .map((device, index) => ({ ...device, slot: FIRST_SLOT + index }));
  return {
    name,
    platform,
    architecture,
    release,
    interface: settings.includes('disable-modern') ? 'legacy' : 'modern',
    devices,
    arguments: [...machine, ...devices.flatMap((device) => deviceArguments(device, settings))],
    append: machine.includes('intel-iommu') ? 'intel_iommu=on' : '',
    modules: machine.includes('virtio-iommu-pci') ? ['virtio_iommu'] : [],
  };
}

/** Each block device has a disk of its own. */
function deviceArguments({ type, packed, slot }: CaseDevice, settings: string): string[] {
  const disk = `disk${slot}`;
  const device = `${DEVICES[type].replace('disk', disk)},addr=0x${slot.toString(16)},${settings}`;
  const words = ['-device', packed ? `${device},packed=on` : device];
  return type === 'block' ? ['-blockdev', `null-co,node-name=${disk},size=16777216`, ...words] : words;
}
