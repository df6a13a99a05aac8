import { readdirSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { CodedError } from '@virtio-platform/core';
import { DeviceFile, HostError, NativeBuffer, type Disposal } from '@virtio-platform/host';
import { EBUSY, EINVAL, EPERM, type IommufdIoas, type Type1Container } from '@virtio-platform/platform-vfio';
import { KernelIoas } from './container/kernel-ioas.ts';
import { KernelType1Container } from './container/kernel-type1-container.ts';
import type { ProcessMemory } from './container/process-memory.ts';
import { accepted } from './kernel/sized-structure.ts';
import { VFIO_API_VERSION, VFIO_CHECK_EXTENSION, VFIO_DEVICE_ATTACH_IOMMUFD_PT, VFIO_DEVICE_BIND_IOMMUFD, VFIO_GET_API_VERSION, VFIO_GROUP_FLAGS_VIABLE, VFIO_GROUP_GET_DEVICE_FD, VFIO_GROUP_GET_STATUS, VFIO_GROUP_SET_CONTAINER, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU, VFIO_TYPE1V2_IOMMU } from './kernel/vfio-requests.ts';
import type { VfioMachineOptions } from './options.ts';
/** A device that the kernel handed to this process, and what confines it. */
export interface HandedDevice {
  readonly container: Type1Container | IommufdIoas;
  readonly device: DeviceFile;
}

const LIST = 'see virtio-platform list, which says what is missing';
const IN_USE = 'another process has it: it is handed to one at a time';
const NO_REMAPPING =
  'EPERM: the IOMMU does not remap interrupts; a machine of QEMU needs -device intel-iommu,intremap=on and kernel-irqchip=split';
/** Everybody who may use a device's file can open it: only to bind it shows that somebody has, also through its group. */
const WHY_NOT_BOUND: ReadonlyMap<number, string> = new Map([
  [EPERM, NO_REMAPPING],
  [EINVAL, IN_USE],
  [EBUSY, IN_USE],
]);

/**
 * Asks the kernel for the device, the way that the options say; nothing is mapped for it yet. What has to be undone goes to
 * `disposal`, so also when this throws {@link CodedError}.
 */
export function requestDevice(options: VfioMachineOptions, memory: ProcessMemory, disposal: Disposal): HandedDevice {
  const { device: address, container: type } = options;
  return type === 'iommufd'
    ? requestFromIommufd(address, memory, disposal)
    : requestFromGroup(address, type, memory, disposal);
}

/** Documentation/driver-api/vfio.rst: a container, a group in it, what translates, and then a device of the group. */
function requestFromGroup(
  address: string,
  type: Type1Container['type'],
  memory: ProcessMemory,
  disposal: Disposal,
): HandedDevice {
  const container = open('/dev/vfio/vfio', disposal);
  const version = container.control(VFIO_GET_API_VERSION);
  if (version !== VFIO_API_VERSION)
    throw new CodedError('ERR_MACHINE_START', `the kernel speaks version ${version} of VFIO, not ${VFIO_API_VERSION}`);
  const iommu = type === 'type1' ? VFIO_TYPE1_IOMMU : VFIO_TYPE1V2_IOMMU;
  if (container.control(VFIO_CHECK_EXTENSION, iommu) !== 1)
    throw new CodedError('ERR_MACHINE_START', `the kernel has no containers of ${type}`, {
      hint: 'sudo modprobe vfio_iommu_type1',
    });
  const group = open(`/dev/vfio/${groupOf(address)}`, disposal);
  checkViable(group, address);
  const number = new NativeBuffer(4);
  const name = new NativeBuffer(address.length + 1);
  try {
    number.bytes.setInt32(0, container.descriptor, true);
    accepted(group.control(VFIO_GROUP_SET_CONTAINER, number), `put the group of ${address} into a container`, LIST);
    accepted(container.control(VFIO_SET_IOMMU, iommu), `have an IOMMU confine ${address}`, NO_REMAPPING);
    new Uint8Array(name.bytes.buffer).set(Buffer.from(address));
    const device = accepted(group.control(VFIO_GROUP_GET_DEVICE_FD, name), `get ${address} from its group`, LIST);
    const facility = new KernelType1Container(type, container, memory);
    disposal.add(() => facility.dispose());
    return { container: facility, device: adopt(device, disposal) };
  } finally {
    number.dispose();
    name.dispose();
  }
}

/** linux/vfio.h: a device has a file of its own, is bound to /dev/iommu, and attached to an address space there. Linux 6.6. */
function requestFromIommufd(address: string, memory: ProcessMemory, disposal: Disposal): HandedDevice {
  const iommufd = open('/dev/iommu', disposal);
  const device = open(`/dev/vfio/devices/${characterDeviceOf(address)}`, disposal);
  const bind = new NativeBuffer(16);
  const attach = new NativeBuffer(12);
  try {
    bind.bytes.setUint32(0, bind.size, true);
    bind.bytes.setInt32(8, iommufd.descriptor, true);
    const bound = device.control(VFIO_DEVICE_BIND_IOMMUFD, bind);
    accepted(bound, `bind ${address} to /dev/iommu`, WHY_NOT_BOUND.get(bound) ?? LIST);
    const ioas = KernelIoas.create(iommufd, memory);
    disposal.add(() => ioas.dispose());
    attach.bytes.setUint32(0, attach.size, true);
    attach.bytes.setUint32(8, ioas.id, true);
    accepted(device.control(VFIO_DEVICE_ATTACH_IOMMUFD_PT, attach), `have an IOMMU confine ${address}`, LIST);
    return { container: ioas, device };
  } finally {
    bind.dispose();
    attach.dispose();
  }
}

function checkViable(group: DeviceFile, address: string): void {
  const status = new NativeBuffer(8);
  try {
    status.bytes.setUint32(0, status.size, true);
    accepted(group.control(VFIO_GROUP_GET_STATUS, status), `ask for the group of ${address}`);
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

/** The group's number is the name of the folder that the link leads to. */
function groupOf(address: string): string {
  try {
    return basename(readlinkSync(`/sys/bus/pci/devices/${address}/iommu_group`));
  } catch (cause) {
    throw new CodedError('ERR_MACHINE_START', `${address} is in no IOMMU group`, { hint: LIST, cause });
  }
}

function characterDeviceOf(address: string): string {
  try {
    return readdirSync(`/sys/bus/pci/devices/${address}/vfio-dev`)[0] ?? '';
  } catch (cause) {
    throw new CodedError('ERR_MACHINE_START', `${address} has no file below /dev/vfio/devices`, { hint: LIST, cause });
  }
}
