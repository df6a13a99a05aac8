import { CodedError } from '@virtio-platform/core';
import { DeviceFile, HostError, NativeBuffer, type Disposal } from '@virtio-platform/host';
import {
  EBUSY,
  EINVAL,
  EPERM,
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1V2_IOMMU,
  type IommufdIoas,
  type Type1Container,
} from '@virtio-platform/platform-vfio';
import { KernelIoas } from './container/kernel-ioas.ts';
import { KernelType1Container } from './container/kernel-type1-container.ts';
import type { ProcessMemory } from './container/process-memory.ts';
import { readPciDevice } from './discovery/system-view.ts';
import { checkErrno } from './kernel/sized-structure.ts';
import {
  VFIO_API_VERSION,
  VFIO_CHECK_EXTENSION,
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_GET_API_VERSION,
  VFIO_GROUP_FLAGS_VIABLE,
  VFIO_GROUP_GET_DEVICE_FD,
  VFIO_GROUP_GET_STATUS,
  VFIO_GROUP_SET_CONTAINER,
  VFIO_SET_IOMMU,
} from './kernel/vfio-requests.ts';
import type { VfioMachineOptions } from './options.ts';

/** A device that the kernel assigned to this process, and the container that confines it. */
export interface AssignedDevice {
  readonly container: Type1Container | IommufdIoas;
  readonly device: DeviceFile;
}

const LIST = 'see virtio-platform list, which shows what is missing';
const IN_USE = 'another process has it: the kernel assigns it to one process at a time';
const NO_REMAPPING =
  'EPERM: the IOMMU does not remap interrupts; ' +
  'a machine of QEMU needs -device intel-iommu,intremap=on and kernel-irqchip=split';
/**
 * Several processes can open the file of a device. Only the bind fails where another process has it, also through its
 * group.
 */
const WHY_NOT_BOUND: ReadonlyMap<number, string> = new Map([
  [EPERM, NO_REMAPPING],
  [EINVAL, IN_USE],
  [EBUSY, IN_USE],
]);

/**
 * Requests the device from the kernel, in the way of the options, and without mappings. Adds to `disposal` the steps
 * that undo it, also before it throws {@link CodedError}.
 */
export function requestDevice(options: VfioMachineOptions, memory: ProcessMemory, disposal: Disposal): AssignedDevice {
  const { container: type } = options;
  return type === 'iommufd'
    ? requestFromIommufd(options, memory, disposal)
    : requestFromGroup(options, type, memory, disposal);
}

/**
 * The order of Documentation/driver-api/vfio.rst: open a container, put the group into it, set its IOMMU model, put the
 * groups of the other devices into it, and get the device from the group. /dev/iommu can be used as the container.
 */
function requestFromGroup(
  { device: address, sharesWith }: VfioMachineOptions,
  type: Type1Container['type'],
  memory: ProcessMemory,
  disposal: Disposal,
): AssignedDevice {
  const isIommufd = type === 'iommufd-type1' || type === 'iommufd-type1v2';
  const container = open(isIommufd ? '/dev/iommu' : '/dev/vfio/vfio', disposal);
  const version = container.control(VFIO_GET_API_VERSION);
  if (version !== VFIO_API_VERSION)
    throw new CodedError('ERR_MACHINE_START', `the kernel has version ${version} of VFIO, not ${VFIO_API_VERSION}`);
  const iommu = type === 'type1' || type === 'iommufd-type1' ? VFIO_TYPE1_IOMMU : VFIO_TYPE1V2_IOMMU;
  if (container.control(VFIO_CHECK_EXTENSION, iommu) !== 1)
    throw new CodedError('ERR_MACHINE_START', `the kernel has no containers of ${type}`, {
      hint: isIommufd ? 'use a kernel with CONFIG_IOMMUFD' : 'sudo modprobe vfio_iommu_type1',
    });
  const group = openGroup(address, disposal);
  const others = otherGroups(address, sharesWith).map((other) => [other, openGroup(other, disposal)] as const);
  const number = new NativeBuffer(4);
  const name = new NativeBuffer(address.length + 1);
  try {
    number.bytes.setInt32(0, container.descriptor, true);
    checkErrno(group.control(VFIO_GROUP_SET_CONTAINER, number), `put the group of ${address} into a container`, LIST);
    checkErrno(container.control(VFIO_SET_IOMMU, iommu), `have an IOMMU confine ${address}`, NO_REMAPPING);
    for (const [other, file] of others)
      checkErrno(file.control(VFIO_GROUP_SET_CONTAINER, number), `put the group of ${other} into the container`, LIST);
    new Uint8Array(name.bytes.buffer).set(Buffer.from(address));
    const device = checkErrno(group.control(VFIO_GROUP_GET_DEVICE_FD, name), `get ${address} from its group`, LIST);
    const facility = new KernelType1Container(type, container, memory);
    disposal.add(() => facility.dispose());
    return { container: facility, device: adopt(device, disposal) };
  } finally {
    number.dispose();
    name.dispose();
  }
}

/**
 * The order of linux/vfio.h, since Linux 6.6: open the file of the device, bind the device to /dev/iommu, and attach it
 * to an address space there.
 */
function requestFromIommufd(
  { device: address, sharesWith }: VfioMachineOptions,
  memory: ProcessMemory,
  disposal: Disposal,
): AssignedDevice {
  const iommufd = open('/dev/iommu', disposal);
  const addresses = [...new Set([address, ...sharesWith])];
  const devices = addresses.map((name) => [name, open(deviceFileOf(name), disposal)] as const);
  const bind = new NativeBuffer(16);
  const attach = new NativeBuffer(12);
  try {
    bind.bytes.setUint32(0, bind.size, true);
    bind.bytes.setInt32(8, iommufd.descriptor, true);
    for (const [name, device] of devices) {
      const bound = device.control(VFIO_DEVICE_BIND_IOMMUFD, bind);
      checkErrno(bound, `bind ${name} to /dev/iommu`, WHY_NOT_BOUND.get(bound) ?? LIST);
    }
    const ioas = KernelIoas.create(iommufd, memory);
    disposal.add(() => ioas.dispose());
    attach.bytes.setUint32(0, attach.size, true);
    for (const [name, device] of devices) {
      attach.bytes.setUint32(8, ioas.id, true);
      checkErrno(device.control(VFIO_DEVICE_ATTACH_IOMMUFD_PT, attach), `have an IOMMU confine ${name}`, LIST);
    }
    return { container: ioas, device: devices[0]![1] };
  } finally {
    bind.dispose();
    attach.dispose();
  }
}

function openGroup(address: string, disposal: Disposal): DeviceFile {
  const group = open(`/dev/vfio/${groupOf(address)}`, disposal);
  checkViable(group, address);
  return group;
}

/** One device of each group that is not the device's own: a group is put into a container as a whole. */
function otherGroups(address: string, others: readonly string[]): string[] {
  const byGroup = new Map(others.map((other) => [groupOf(other), other]));
  byGroup.delete(groupOf(address));
  return [...byGroup.values()];
}

function checkViable(group: DeviceFile, address: string): void {
  const status = new NativeBuffer(8);
  try {
    status.bytes.setUint32(0, status.size, true);
    checkErrno(group.control(VFIO_GROUP_GET_STATUS, status), `ask for the group of ${address}`);
    if ((status.bytes.getUint32(4, true) & VFIO_GROUP_FLAGS_VIABLE) !== 0) return;
  } finally {
    status.dispose();
  }
  throw new CodedError('ERR_MACHINE_START', `the kernel uses another device in the group of ${address}`, {
    hint: LIST,
  });
}

function open(path: string, disposal: Disposal): DeviceFile {
  try {
    const file = DeviceFile.open(path);
    disposal.add(() => file.dispose());
    return file;
  } catch (cause) {
    if (!(cause instanceof HostError)) throw cause;
    const hint = cause.errno === 'EBUSY' ? IN_USE : LIST;
    throw new CodedError('ERR_MACHINE_START', `cannot open ${path}: ${cause.errno}`, { hint, cause });
  }
}

function adopt(descriptor: number, disposal: Disposal): DeviceFile {
  const file = DeviceFile.adopt(descriptor);
  disposal.add(() => file.dispose());
  return file;
}

/** The name of the group of a device below /dev/vfio. */
function groupOf(address: string): string {
  const { group } = readPciDevice('', address);
  if (group !== undefined) return group;
  throw new CodedError('ERR_MACHINE_START', `${address} has no IOMMU group`, { hint: LIST });
}

/** The file of a device below /dev/vfio/devices. */
function deviceFileOf(address: string): string {
  const { characterDevice } = readPciDevice('', address);
  if (characterDevice !== undefined) return `/dev/vfio/devices/${characterDevice}`;
  throw new CodedError('ERR_MACHINE_START', `${address} has no file below /dev/vfio/devices`, { hint: LIST });
}
