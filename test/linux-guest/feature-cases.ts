import type { DebianArchitecture } from './debian-packages.ts';

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
export interface FeatureCase {
  readonly name: string;
  /** A platform of the decision table. */
  readonly platform: string;
  readonly architecture: DebianArchitecture;
  readonly interface: 'modern' | 'legacy';
  readonly devices: readonly CaseDevice[];
  /** QEMU's arguments. */
  readonly arguments: readonly string[];
  /** Of the kernel's command line. */
  readonly append: string;
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
const IOMMU = 'disable-legacy=on,iommu_platform=on';

/** What is compared with a real Linux guest. One boot has every device. */
export const FEATURE_CASES: readonly FeatureCase[] = [
  featureCase('pc-legacy', 'plain', 'amd64', PC, 'disable-modern=on', [false]),
  featureCase('q35', 'plain', 'amd64', Q35, 'disable-legacy=on', [false, true]),
  featureCase('q35-iommu', 'x86-translated', 'amd64', [...Q35, '-device', 'intel-iommu'], IOMMU, [false, true]),
  featureCase('q35-amd-iommu', 'amd-translated', 'amd64', [...Q35, '-device', 'amd-iommu'], IOMMU, [false, true]),
  featureCase('pseries', 'pseries-linear', 'ppc64el', PSERIES, 'disable-legacy=on', [false, true]),
  featureCase('pseries-iommu', 'pseries-linear', 'ppc64el', PSERIES, IOMMU, [false, true]),
];

function featureCase(
  name: string,
  platform: string,
  architecture: DebianArchitecture,
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
    interface: settings.includes('disable-modern') ? 'legacy' : 'modern',
    devices,
    arguments: [...machine, ...devices.flatMap((device) => deviceArguments(device, settings))],
    append: machine.includes('intel-iommu') ? 'intel_iommu=on' : '',
  };
}

/** Each block device has a disk of its own. */
function deviceArguments({ type, packed, slot }: CaseDevice, settings: string): string[] {
  const disk = `disk${slot}`;
  const device = `${DEVICES[type].replace('disk', disk)},addr=0x${slot.toString(16)},${settings}`;
  const words = ['-device', packed ? `${device},packed=on` : device];
  return type === 'block' ? ['-blockdev', `null-co,node-name=${disk},size=16777216`, ...words] : words;
}
