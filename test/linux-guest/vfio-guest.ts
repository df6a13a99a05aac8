import { runLinuxGuest, type LinuxGuestResult } from './linux-guest.ts';

/** The user that the command runs as. */
const USER = 1000;
/** Before what the command prints, and before the kernel's log: each on a line of its own. */
const OUTPUT = 'vfio-guest: output';
const KERNEL_LOG = 'vfio-guest: kernel log';

export interface VfioGuestOptions {
  /** QEMU's arguments for the devices, each at a slot of its own (`addr=3`) so that it is a group of its own. */
  readonly devices: readonly string[];
  /** PCI addresses, such as `0000:00:03.0`, of those that the user gets. */
  readonly assigned: readonly string[];
  /**
   * Run on the host's own files, read-only, as an ordinary user without any capability. Its first word is an absolute
   * path. What it runs has to be built: to compile TypeScript takes minutes in emulation.
   */
  readonly command: readonly string[];
  /** Of the command: the root folder unless given. Every user can read it, and all that the command needs. */
  readonly folder?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** How much memory the user may lock, in KiB; 8 MiB unless given, as Linux itself has it. */
  readonly lockedKiB?: number;
  /** A script of busybox that root runs before the command, and what it does may last. */
  readonly prepare?: string;
  /** More of the kernel's command line, `intel_iommu=on` being there. */
  readonly append?: string;
  readonly timeoutMs?: number;
}

export interface VfioGuestResult extends LinuxGuestResult {
  /** What the command printed, both streams. */
  readonly output: string;
  /** The kernel's log after the command: faults of the IOMMU are in it. */
  readonly kernelLog: string;
}

/**
 * A PC whose IOMMU is in software; it tells a guest what it caches, so that a guest's own mappings are seen at once.
 */
const MACHINE = ['-machine', 'q35,accel=tcg,kernel-irqchip=split', '-cpu', 'max', '-m', '1G'];
const IOMMU = ['-device', 'intel-iommu,intremap=on,caching-mode=on'];
const HOST_FILES = ['-virtfs', 'local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap'];
const MODULES = ['virtio_pci', '9pnet_virtio', '9p', 'vfio_iommu_type1', 'vfio_pci'];

/**
 * Boots a guest that gives devices to an ordinary user through vfio-pci, and runs a command as that user on the host's
 * files. Its status is the result's. A folder for temporary files is in TMPDIR and HOME. Throws when the guest could
 * not get as far as the command.
 */
export async function runVfioGuest(options: VfioGuestOptions): Promise<VfioGuestResult> {
  const { append = '', timeoutMs } = options;
  const result = await runLinuxGuest({
    architecture: 'amd64',
    arguments: [...MACHINE, ...IOMMU, ...HOST_FILES, ...options.devices],
    append: `intel_iommu=on ${append}`,
    modules: MODULES,
    script: guestScript(options),
    ...(timeoutMs !== undefined && { timeoutMs }),
  });
  const { console } = result;
  const [start, end] = [console.indexOf(OUTPUT), console.lastIndexOf(KERNEL_LOG)];
  if (start === -1 || end === -1) throw new Error(`the guest did not get as far as its command:\n${console}`);
  const output = console.slice(start + OUTPUT.length + 1, end);
  return { ...result, output, kernelLog: console.slice(end + KERNEL_LOG.length + 1) };
}

/** `set -e` ends the guest at what failed; the command's own status is kept. */
function guestScript({ assigned, command, folder = '/', environment, lockedKiB, prepare }: VfioGuestOptions): string {
  const variables = { PATH: '/usr/bin:/bin', HOME: '/dev/shm', TMPDIR: '/dev/shm', ...environment };
  const words = ['chroot', '/host', '/usr/bin/setpriv', `--reuid=${USER}`, `--regid=${USER}`, '--clear-groups'];
  words.push('--bounding-set=-all', '--inh-caps=-all', '--no-new-privs', '/usr/bin/env', '-i', `--chdir=${folder}`);
  words.push(...Object.entries(variables).map(([name, value]) => `${name}=${value}`), ...command);
  return `set -e
mkdir -p /host /dev/shm
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose,ro host /host
for folder in proc sys dev; do mount -o bind /$folder /host/$folder; done
mount -t tmpfs -o mode=1777 tmpfs /host/dev/shm
for device in ${assigned.join(' ')}; do
  path=/sys/bus/pci/devices/$device
  [ ! -e $path/driver ] || echo $device > $path/driver/unbind
  echo vfio-pci > $path/driver_override
  echo $device > /sys/bus/pci/drivers_probe
  chown ${USER} /dev/vfio/$(basename $(readlink $path/iommu_group))
done
${prepare ?? ''}
${lockedKiB === undefined ? '' : `ulimit -l ${lockedKiB}`}
echo '${OUTPUT}'
status=0
${words.map(quoted).join(' ')} 2>&1 || status=$?
echo '${KERNEL_LOG}'
dmesg
exit $status
`;
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
