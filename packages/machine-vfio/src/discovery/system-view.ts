import { accessSync, constants, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { userInfo } from 'node:os';
import { basename, join } from 'node:path';
import { memoryLockLimit } from '@virtio-platform/host';
import { virtioIdentity } from '@virtio-platform/pci';
/** The computer as a survey sees it, and who looks. */
export interface SystemView {
  /** What /sys and /dev are below of: empty for this computer. */
  readonly root: string;
  /** Name, or number, of the user that is to have the device. */
  readonly user: string;
  /** Whether this user may read and write a file, by its whole path. */
  readonly mayUse: (path: string) => boolean;
  /** Bytes this process may lock; `undefined` where there is no limit. */
  readonly memoryLockLimit: number | undefined;
}

/** This computer and this user. Throws {@link HostError} where it is no Linux. */
export function thisSystem(): SystemView {
  return { root: '', user: userName(), mayUse, memoryLockLimit: memoryLockLimit() };
}

function mayUse(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** A user without a name, as there are in containers, has a number. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? '');
  }
}


/** The class of a PCI function says in its highest byte that it is a bridge. */
const BRIDGE = 0x06;

/** A PCI function as Linux describes it in /sys (Documentation/ABI/testing/sysfs-bus-pci). */
export interface SysPciDevice {
  /** `0000:00:03.0`. */
  readonly address: string;
  /** `undefined` where no IOMMU is in front of it. */
  readonly group: string | undefined;
  /** `undefined` where it is bound to none. */
  readonly driver: string | undefined;
  readonly isBridge: boolean;
  /** As profiles name it, such as `block`; `undefined` for what is no virtio device. */
  readonly virtioType: string | undefined;
  /** Of iommufd: the name of its file below /dev/vfio/devices; `undefined` where it has none. */
  readonly characterDevice: string | undefined;
}

const DEVICES = 'sys/bus/pci/devices';
const GROUPS = 'sys/kernel/iommu_groups';

/** Whether Linux uses an IOMMU at all. */
export function hasIommuGroups(root: string): boolean {
  return names(join(root, '/', GROUPS)).length > 0;
}

/** All PCI functions there are, in order; none where there is no PCI. */
export function listPciDevices(root: string): SysPciDevice[] {
  return names(join(root, '/', DEVICES)).map((address) => readPciDevice(root, address));
}

/** The functions of a group: they reach each other without asking the IOMMU, so they are handed out together. */
export function listGroup(root: string, group: string): SysPciDevice[] {
  const folder = join(root, '/', GROUPS, group, 'devices');
  return names(folder).map((address) => readPciDevice(root, address));
}

/** Reads one; a function that is not there has no driver, no group and no type. */
export function readPciDevice(root: string, address: string): SysPciDevice {
  const folder = join(root, '/', DEVICES, address);
  const [vendor, device, subsystem] = ['vendor', 'device', 'subsystem_device'].map((id) => readNumber(folder, id));
  return {
    address,
    group: linkName(join(folder, 'iommu_group')),
    driver: linkName(join(folder, 'driver')),
    isBridge: readNumber(folder, 'class') >>> 16 === BRIDGE,
    virtioType: virtioIdentity(vendor!, device!, subsystem!)?.type,
    characterDevice: names(join(folder, 'vfio-dev'))[0],
  };
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder).toSorted();
  } catch {
    return [];
  }
}

/** 0 for a file that is not there or has no number. */
function readNumber(folder: string, file: string): number {
  try {
    return Number(readFileSync(join(folder, file), 'utf8').trim()) || 0;
  } catch {
    return 0;
  }
}

function linkName(path: string): string | undefined {
  try {
    return basename(readlinkSync(path));
  } catch {
    return undefined;
  }
}
