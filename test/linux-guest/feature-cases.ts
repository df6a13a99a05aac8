import { DEBIAN_RELEASE, type DebianTarget } from './debian-packages.ts';

/** The slots of the devices of a case, in which the guest finds them. */
const FIRST_SLOT = 3;

/** Where the devices of a case are. */
export type CaseBus = 'pci' | 'mmio';

/** One device that QEMU is given. */
export interface CaseDevice {
  readonly type: 'block' | 'net' | 'entropy' | 'console' | 'balloon' | 'scsi';
  readonly packed: boolean;
  /** On bus 0, or of virtio-mmio. */
  readonly slot: number;
}

/** One QEMU command line: a machine, and devices of every type, those with packed rings behind those without. */
export interface FeatureCase extends DebianTarget {
  readonly name: string;
  /** A platform of the decision table. */
  readonly platform: string;
  readonly bus: CaseBus;
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

/** QEMU's name of each device type, without the end that says where it is. */
const DEVICES: Readonly<Record<CaseDevice['type'], string>> = {
  block: 'virtio-blk',
  net: 'virtio-net',
  entropy: 'virtio-rng',
  console: 'virtio-serial',
  balloon: 'virtio-balloon',
  scsi: 'virtio-scsi',
};

const PC = ['-machine', 'pc,accel=tcg', '-cpu', 'max', '-m', '256M'];
const Q35 = ['-machine', 'q35,accel=tcg,kernel-irqchip=split', '-cpu', 'max', '-m', '256M'];
const PSERIES = ['-machine', 'pseries,accel=tcg', '-m', '512M'];
/** With the processor `max` a boot takes five times as long. */
const ARM = ['-cpu', 'cortex-a57', '-m', '256M'];
const VIRT = ['-machine', 'virt,accel=tcg', ...ARM];
const VIRT_SMMU = ['-machine', 'virt,iommu=smmuv3,accel=tcg', ...ARM];
const VIRTIO_IOMMU = ['-device', 'virtio-iommu-pci'];
/**
 * Linux finds the slots in the ACPI tables. Without those QEMU names them on the kernel's command line, where Debian's
 * kernels do not look: they are built without VIRTIO_MMIO_CMDLINE_DEVICES.
 */
const MICROVM = ['-machine', 'microvm,accel=tcg', '-cpu', 'max', '-m', '256M'];
/**
 * Linux measures the rate of the TSC by the PIT, for want of another clock. Where the emulator itself has to wait for
 * a processor that fails, and the kernel then waits for ever for a timer. A rate that it is told it does not measure.
 */
const MICROVM_CLOCK = 'tsc_early_khz=2000000';

/** How devices are connected, and by which interface. */
interface Connection extends Pick<FeatureCase, 'bus' | 'interface'> {
  /** QEMU's arguments for all devices at once. */
  readonly arguments: readonly string[];
  /** Properties of each device. */
  readonly properties: readonly string[];
}

const PCI: Connection = { bus: 'pci', interface: 'modern', arguments: [], properties: ['disable-legacy=on'] };
const PCI_LEGACY: Connection = { ...PCI, interface: 'legacy', properties: ['disable-modern=on'] };
const BEHIND_IOMMU: Connection = { ...PCI, properties: [...PCI.properties, 'iommu_platform=on'] };
const MMIO = mmioConnection('modern');
const MMIO_LEGACY = mmioConnection('legacy');

const AMD64: DebianTarget = { architecture: 'amd64', release: DEBIAN_RELEASE };
const ARM64: DebianTarget = { architecture: 'arm64', release: DEBIAN_RELEASE };
const PPC64EL: DebianTarget = { architecture: 'ppc64el', release: DEBIAN_RELEASE };
/** Debian's kernels before these have no driver of the virtio-iommu. */
const NEWER_AMD64: DebianTarget = { architecture: 'amd64', release: 'trixie' };
const NEWER_ARM64: DebianTarget = { architecture: 'arm64', release: 'trixie' };

/**
 * What is compared with a real Linux guest. One boot has every device. The virtio-iommu of pseries is missing, because
 * Linux has no driver of it for POWER: VIRTIO_IOMMU depends on ARM64 or X86 (drivers/iommu/Kconfig).
 */
export const FEATURE_CASES: readonly FeatureCase[] = [
  featureCase('pc-legacy', 'plain', AMD64, PC, PCI_LEGACY),
  featureCase('q35', 'plain', AMD64, Q35, PCI),
  featureCase('q35-iommu', 'x86-translated', AMD64, [...Q35, '-device', 'intel-iommu'], BEHIND_IOMMU),
  featureCase('q35-amd-iommu', 'amd-translated', AMD64, [...Q35, '-device', 'amd-iommu'], BEHIND_IOMMU),
  featureCase('pseries', 'pseries-linear', PPC64EL, PSERIES, PCI),
  featureCase('pseries-iommu', 'pseries-linear', PPC64EL, PSERIES, BEHIND_IOMMU),
  featureCase('q35-virtio-iommu', 'virtio-iommu', NEWER_AMD64, [...Q35, ...VIRTIO_IOMMU], BEHIND_IOMMU),
  featureCase('virt', 'plain', ARM64, VIRT, PCI),
  featureCase('virt-smmuv3', 'smmuv3', ARM64, VIRT_SMMU, BEHIND_IOMMU),
  featureCase('virt-virtio-iommu', 'virtio-iommu', NEWER_ARM64, [...VIRT, ...VIRTIO_IOMMU], BEHIND_IOMMU),
  featureCase('microvm', 'plain', AMD64, MICROVM, MMIO),
  featureCase('microvm-legacy', 'plain', AMD64, MICROVM, MMIO_LEGACY),
  featureCase('virt-mmio', 'plain', ARM64, VIRT, MMIO),
  featureCase('virt-mmio-legacy', 'plain', ARM64, VIRT, MMIO_LEGACY),
];

function featureCase(
  name: string,
  platform: string,
  { architecture, release }: DebianTarget,
  machine: readonly string[],
  connection: Connection,
): FeatureCase {
  const devices = caseDevices(connection);
  const made = devices.flatMap((device) => deviceArguments(device, connection));
  return {
    name,
    platform,
    architecture,
    release,
    bus: connection.bus,
    interface: connection.interface,
    devices,
    arguments: [...machine, ...connection.arguments, ...made],
    append: kernelArguments(machine),
    modules: machine.includes('virtio-iommu-pci') ? ['virtio_iommu'] : [],
  };
}

function kernelArguments(machine: readonly string[]): string {
  if (machine === MICROVM) return MICROVM_CLOCK;
  return machine.includes('intel-iommu') ? 'intel_iommu=on' : '';
}

/** Only the modern interface has packed rings. */
function caseDevices(connection: Connection): CaseDevice[] {
  const layouts = connection.interface === 'legacy' ? [false] : [false, true];
  return (
    layouts
      .flatMap((packed) => TYPES.map((type) => ({ type, packed })))
      // QEMU takes one balloon.
      .filter(({ type, packed }) => type !== 'balloon' || !packed)
      .map((device, index) => ({ ...device, slot: FIRST_SLOT + index }))
  );
}

/** Each block device has a disk of its own. */
function deviceArguments({ type, packed, slot }: CaseDevice, { bus, properties }: Connection): string[] {
  const disk = `disk${slot}`;
  const device = [
    bus === 'pci' ? `${DEVICES[type]}-pci` : `${DEVICES[type]}-device`,
    ...(type === 'block' ? [`drive=${disk}`] : []),
    bus === 'pci' ? `addr=0x${slot.toString(16)}` : `bus=virtio-mmio-bus.${slot}`,
    ...properties,
    ...(packed ? ['packed=on'] : []),
  ];
  const words = ['-device', device.join(',')];
  return type === 'block' ? ['-blockdev', `null-co,node-name=${disk},size=16777216`, ...words] : words;
}

/** QEMU sets the interface of all slots at once. */
function mmioConnection(version: Connection['interface']): Connection {
  const setting = `virtio-mmio.force-legacy=${version === 'legacy' ? 'on' : 'off'}`;
  return { bus: 'mmio', interface: version, arguments: ['-global', setting], properties: [] };
}
