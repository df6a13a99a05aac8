import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { MachineSurvey, MissingRequirement, SurveyedDevice } from '@virtio-platform/core';
import type { VfioMachineOptions } from '../options.ts';
import { hasIommuGroups, listGroup, listPciDevices, readPciDevice, type SysPciDevice, type SystemView } from './system-view.ts';
type Container = VfioMachineOptions['container'];

/** What 32 requests of 4 KiB and their ring pin, rounded up: below it hardly anything runs. */
const LEAST_LOCKED = 256 * 1024;
/** Enough for pools of any profile here. */
const RAISED_LIMIT = 64 * 2 ** 20;
const MODULE = 'sudo modprobe vfio-pci';
const ENABLE_IOMMU = 'boot Linux with intel_iommu=on (AMD: turn the IOMMU on in the firmware)';

/**
 * Finds the virtio devices that a process could be given here, with what each lacks and the command that changes it. Only looks:
 * a device that is taken from its driver is lost to whatever used it, so people do that.
 */
export function surveyVfio(system: SystemView): MachineSurvey {
  const devices = listPciDevices(system.root).filter(({ virtioType }) => virtioType !== undefined);
  return {
    missing: missingForAll(system, 'type1v2'),
    devices: devices.map((device) => describeDevice(system, device)),
  };
}

/** What is missing to be given one device in this way. */
export function missingForDevice(system: SystemView, address: string, container: Container): MissingRequirement[] {
  const device = readPciDevice(system.root, address);
  if (device.virtioType === undefined) {
    const what = `there is no virtio device at ${address}`;
    return [{ what, fix: 'virtio-platform list shows those that there are' }];
  }
  return [...missingForAll(system, container), ...missingFor(system, device, container)];
}

function describeDevice(system: SystemView, device: SysPciDevice): SurveyedDevice {
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
  const file = container === 'iommufd' ? '/dev/iommu' : '/dev/vfio/vfio';
  if (!existsSync(join(root, '/', file))) missing.push(missingFile(file));
  else if (!mayUse(join(root, '/', file)))
    missing.push({ what: `${user} may not use ${file}`, fix: `sudo chmod 666 ${file}` });
  if (memoryLockLimit !== undefined && memoryLockLimit < LEAST_LOCKED) {
    missing.push({
      what: `${user} may lock ${memoryLockLimit} bytes of memory; 32 requests of 4KiB need ${LEAST_LOCKED}`,
      fix: `sudo prlimit --pid $$ --memlock=${RAISED_LIMIT} (of this shell; for good: memlock in /etc/security/limits.conf)`,
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
    return hasIommuGroups(root) ? [{ what: `no IOMMU is in front of ${address}`, fix: ENABLE_IOMMU }] : [];
  const inTheWay = listGroup(root, group).filter((member) => isInTheWay(member, address));
  if (inTheWay.length > 0) {
    const bound = inTheWay.map((member) => `${member.address} (${member.driver ?? 'no driver'})`).join(', ');
    return [
      {
        what: `not bound to vfio-pci: ${bound}; Linux can no longer use what is`,
        fix: inTheWay.map((member) => howToBind(member)).join(' && '),
      },
    ];
  }
  if (container === 'iommufd' && characterDevice === undefined)
    return [{ what: `the kernel has no file for ${address} below /dev/vfio/devices`, fix: 'use container: type1v2' }];
  const file = container === 'iommufd' ? `/dev/vfio/devices/${characterDevice}` : `/dev/vfio/${group}`;
  if (mayUse(join(root, '/', file))) return [];
  return [{ what: `${user} may not use ${file}`, fix: `sudo chown ${user} ${file}` }];
}

/** The device itself has to have vfio-pci. Others of its group may have no driver; the kernel's drivers of bridges do no DMA. */
function isInTheWay({ address, driver, isBridge }: SysPciDevice, wanted: string): boolean {
  if (driver === 'vfio-pci') return false;
  return address === wanted || (driver !== undefined && driver !== 'pci-stub' && !isBridge);
}


const DEVICES = '/sys/bus/pci/devices';

/**
 * The command that gives a device to vfio-pci, from whatever has it: only this one device, until the next boot (Linux
 * Documentation/ABI/testing/sysfs-bus-pci, driver_override).
 */
export function howToBind({ address, driver }: SysPciDevice): string {
  const folder = `${DEVICES}/${address}`;
  const steps = [`echo vfio-pci | sudo tee ${folder}/driver_override`];
  if (driver !== undefined) steps.push(`echo ${address} | sudo tee ${folder}/driver/unbind`);
  steps.push(`echo ${address} | sudo tee /sys/bus/pci/drivers_probe`);
  return steps.join(' && ');
}
