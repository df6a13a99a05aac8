import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { MachineDiscovery, MissingRequirement, DiscoveredDevice } from '@virtio-platform/core';
import type { VfioMachineOptions } from '../options.ts';
import {
  hasIommuGroups,
  listGroup,
  listPciDevices,
  readPciDevice,
  type SysPciDevice,
  type SystemView,
} from './system-view.ts';

type Container = VfioMachineOptions['container'];

/** Bytes that 32 requests of 4 KiB and their ring pin, rounded up. */
const LEAST_LOCKED = 256 * 1024;
/** Bytes that suffice for the pools of every shipped profile. */
const RAISED_LIMIT = 64 * 2 ** 20;
const RAISED_SCOPE = '(of this shell; for good: memlock in /etc/security/limits.conf)';
const MODULE = 'sudo modprobe vfio-pci';
const ENABLE_IOMMU = 'boot Linux with intel_iommu=on (AMD: turn the IOMMU on in the firmware)';

/**
 * Finds the virtio devices of the computer, with the missing requirements of each and the commands that meet them.
 * Changes nothing: a user unbinds a device from its driver, because Linux can no longer use the device then.
 */
export function discoverVfioDevices(system: SystemView): MachineDiscovery {
  const devices = listPciDevices(system.root).filter(({ virtioType }) => virtioType !== undefined);
  return {
    missing: missingForAll(system, 'type1v2'),
    devices: devices.map((device) => describeDevice(system, device)),
  };
}

/** The requirements that are missing to get one device through a container of this type. */
export function missingForDevice(system: SystemView, address: string, container: Container): MissingRequirement[] {
  const device = readPciDevice(system.root, address);
  if (device.virtioType === undefined) {
    const what = `there is no virtio device at ${address}`;
    return [{ what, fix: 'virtio-platform list shows the virtio devices of this computer' }];
  }
  return [...missingForAll(system, container), ...missingFor(system, device, container)];
}

function describeDevice(system: SystemView, device: SysPciDevice): DiscoveredDevice {
  const { address, group, driver = 'none', virtioType } = device;
  const others = group === undefined ? [] : listGroup(system.root, group).filter((other) => other.address !== address);
  const beside = others.map((other) => `${other.address} (${other.driver ?? 'none'})`).join(', ');
  return {
    name: address,
    what: `virtio ${virtioType}`,
    details: { 'IOMMU group': group ?? 'none', driver, ...(beside !== '' && { 'in its group': beside }) },
    missing: missingFor(system, device, 'type1v2'),
  };
}

function missingForAll(system: SystemView, container: Container): MissingRequirement[] {
  const { root, user, mayUse, memoryLockLimit } = system;
  const missing: MissingRequirement[] = [];
  if (!hasIommuGroups(root)) missing.push({ what: 'Linux uses no IOMMU', fix: ENABLE_IOMMU });
  const file = container.startsWith('iommufd') ? '/dev/iommu' : '/dev/vfio/vfio';
  if (!existsSync(join(root, '/', file))) missing.push(missingFile(file));
  else if (!mayUse(join(root, '/', file)))
    missing.push({ what: `${user} may not use ${file}`, fix: `sudo chmod 666 ${file}` });
  if (memoryLockLimit !== undefined && memoryLockLimit < LEAST_LOCKED) {
    missing.push({
      what: `${user} may lock ${memoryLockLimit} bytes of memory; 32 requests of 4KiB need ${LEAST_LOCKED}`,
      fix: `sudo prlimit --pid $$ --memlock=${RAISED_LIMIT} ${RAISED_SCOPE}`,
    });
  }
  return missing;
}

function missingFile(file: string): MissingRequirement {
  return file === '/dev/iommu'
    ? {
        what: 'the kernel has no /dev/iommu',
        fix: 'sudo modprobe iommufd (Linux 6.6 or later; else container: type1v2)',
      }
    : { what: 'the kernel module vfio-pci is not loaded', fix: MODULE };
}

function missingFor(system: SystemView, device: SysPciDevice, container: Container): MissingRequirement[] {
  const { root, user, mayUse } = system;
  const { address, group, characterDevice } = device;
  if (group === undefined)
    return hasIommuGroups(root) ? [{ what: `no IOMMU translates for ${address}`, fix: ENABLE_IOMMU }] : [];
  const unassignable = listGroup(root, group).filter((member) => blocksGroup(member, address));
  if (unassignable.length > 0) {
    const bound = unassignable.map((member) => `${member.address} (${member.driver ?? 'no driver'})`).join(', ');
    return [
      {
        what: `not bound to vfio-pci: ${bound}; Linux can no longer use a device that is`,
        fix: unassignable.map((member) => howToBind(member)).join(' && '),
      },
    ];
  }
  if (container === 'iommufd' && characterDevice === undefined)
    return [{ what: `the kernel has no file for ${address} below /dev/vfio/devices`, fix: 'use container: type1v2' }];
  const file = container === 'iommufd' ? `/dev/vfio/devices/${characterDevice}` : `/dev/vfio/${group}`;
  if (mayUse(join(root, '/', file))) return [];
  return [{ what: `${user} may not use ${file}`, fix: `sudo chown ${user} ${file}` }];
}

/**
 * Whether a device keeps its group from being assigned. The wanted device has to be bound to vfio-pci. The others of
 * its group may also have no driver, or pci-stub, or be bridges, whose drivers do no DMA.
 */
function blocksGroup({ address, driver, isBridge }: SysPciDevice, wanted: string): boolean {
  if (driver === 'vfio-pci') return false;
  return address === wanted || (driver !== undefined && driver !== 'pci-stub' && !isBridge);
}

const DEVICES = '/sys/bus/pci/devices';

/**
 * The command that binds a device to vfio-pci, and unbinds it from its driver first. It changes only this device, until
 * the next boot (Documentation/ABI/testing/sysfs-bus-pci, driver_override).
 */
function howToBind({ address, driver }: SysPciDevice): string {
  const folder = `${DEVICES}/${address}`;
  const steps = [`echo vfio-pci | sudo tee ${folder}/driver_override`];
  if (driver !== undefined) steps.push(`echo ${address} | sudo tee ${folder}/driver/unbind`);
  steps.push(`echo ${address} | sudo tee /sys/bus/pci/drivers_probe`);
  return steps.join(' && ');
}
