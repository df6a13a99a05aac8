import { accessSync, constants, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { userInfo } from 'node:os';
import { basename, join } from 'node:path';
import { memoryLockLimit } from '@virtio-platform/host';
import { virtioDeviceName } from '@virtio-platform/core/device';
import { virtioIdentity } from '@virtio-platform/pci';

/** The computer and the user for which devices are searched. */
export interface SystemView {
  /** The folder that contains /sys and /dev: empty for this computer. */
  readonly root: string;
  /** Name, or number, of the user that is to have the device. */
  readonly user: string;
  /** Whether this user may read and write the file at an absolute path. */
  readonly mayUse: (path: string) => boolean;
  /** Bytes that this process may lock; `undefined` where there is no limit. */
  readonly memoryLockLimit: number | undefined;
}

/** This computer and this user. Throws {@link HostError} on another operating system than Linux. */
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

/** The name of the user; the number of a user without a name, as in some containers. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return String(process.getuid?.() ?? '');
  }
}

/** A PCI function as Linux describes it in /sys (Documentation/ABI/testing/sysfs-bus-pci). */
export interface SysPciDevice {
  /** `0000:00:03.0`. */
  readonly address: string;
  /** `undefined` where no IOMMU translates for it. */
  readonly group: string | undefined;
  /** `undefined` where it has no driver. */
  readonly driver: string | undefined;
  readonly isBridge: boolean;
  /** The name that profiles use, such as `block`; `undefined` where it is not a virtio device. */
  readonly virtioType: string | undefined;
  /** The name of its iommufd file below /dev/vfio/devices; `undefined` where it has none. */
  readonly characterDevice: string | undefined;
}

/** The highest byte of the class of a PCI bridge. */
const BRIDGE = 0x06;
const DEVICES = 'sys/bus/pci/devices';
const GROUPS = 'sys/kernel/iommu_groups';

/** Whether Linux uses an IOMMU. */
export function hasIommuGroups(root: string): boolean {
  return names(join(root, '/', GROUPS)).length > 0;
}

/** All PCI functions in order; none on a computer without PCI. */
export function listPciDevices(root: string): SysPciDevice[] {
  return names(join(root, '/', DEVICES)).map((address) => readPciDevice(root, address));
}

/** The functions of an IOMMU group. They can reach each other without the IOMMU, so Linux assigns them together. */
export function listGroup(root: string, group: string): SysPciDevice[] {
  const folder = join(root, '/', GROUPS, group, 'devices');
  return names(folder).map((address) => readPciDevice(root, address));
}

/** Reads the description of one function. Without such a function it has no driver, no group and no type. */
export function readPciDevice(root: string, address: string): SysPciDevice {
  const folder = join(root, '/', DEVICES, address);
  const [vendor, device, subsystem] = ['vendor', 'device', 'subsystem_device'].map((id) => readNumber(folder, id));
  return {
    address,
    group: linkName(join(folder, 'iommu_group')),
    driver: linkName(join(folder, 'driver')),
    isBridge: readNumber(folder, 'class') >>> 16 === BRIDGE,
    virtioType: virtioTypeName(virtioIdentity(vendor!, device!, subsystem!)?.deviceId),
    characterDevice: names(join(folder, 'vfio-dev'))[0],
  };
}

function virtioTypeName(deviceId: number | undefined): string | undefined {
  return deviceId === undefined ? undefined : virtioDeviceName(deviceId);
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder).toSorted();
  } catch {
    return [];
  }
}

/** The number in a file; 0 where the file is missing or has no number. */
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
