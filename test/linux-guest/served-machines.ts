import type { DebianArchitecture, DebianRelease } from './debian-packages.ts';

/** A machine whose devices are served by other processes: they share its memory. */
export interface ServedMachine {
  readonly architecture: DebianArchitecture;
  readonly release?: DebianRelease;
  /** QEMU's arguments: machine, processor, memory, and the IOMMU. */
  readonly arguments: readonly string[];
  /** Of the kernel's command line. */
  readonly append?: string;
  /** Kernel modules of the IOMMU. */
  readonly modules?: readonly string[];
  /** The bus that a device can be plugged into while the guest runs. */
  readonly hotplug: string;
}

const sharedMemory = (machine: string, size: string, ...more: readonly string[]): string[] => [
  '-machine',
  `${machine},accel=tcg,memory-backend=memory`,
  '-object',
  `memory-backend-memfd,id=memory,size=${size},share=on`,
  '-m',
  size,
  ...more,
];

const Q35 = sharedMemory('q35,kernel-irqchip=split', '256M', '-cpu', 'max');
/** Behind it a device is plugged in and out as on PCI Express. */
const PORT = ['-device', 'pcie-root-port,id=port0,slot=9'];

const MACHINES: Readonly<Record<string, ServedMachine>> = {
  'a PC with the IOMMU of Intel': {
    architecture: 'amd64',
    // In front of all devices: those behind it are confined.
    arguments: [...Q35, '-device', 'intel-iommu,intremap=on,caching-mode=on', ...PORT],
    append: 'intel_iommu=on',
    hotplug: 'port0',
  },
  // Debian's kernels before this one have no driver of it.
  'a PC with the IOMMU of virtio': {
    architecture: 'amd64',
    release: 'trixie',
    arguments: [...Q35, '-device', 'virtio-iommu-pci', ...PORT],
    modules: ['virtio_iommu'],
    hotplug: 'port0',
  },
  'pseries, little-endian': {
    architecture: 'ppc64el',
    arguments: sharedMemory('pseries', '512M'),
    hotplug: 'pci.0',
  },
};

/** By what it is: the first one, and all of them with `npm run guests`. */
export const SERVED_MACHINES: readonly (readonly [name: string, machine: ServedMachine])[] = Object.entries(
  MACHINES,
).slice(0, process.env['SERVED_GUESTS'] === 'all' ? undefined : 1);
