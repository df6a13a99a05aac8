import { CodedError, type DeviceDescription, type QemuResources } from '@virtio-platform/core';
import {
  ONE_INTERFACE_HINT,
  transitionalProblem,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_RING_PACKED,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '@virtio-platform/core/features';

/** The slot of the device on the root bus. */
export const DEVICE_SLOT = 4;
/** The slot of a virtio-iommu on the root bus. */
export const IOMMU_SLOT = 3;
/** The id of the character device of its back-end. */
const BACK_END = 'back-end';
/** How QEMU names its devices on PCI, and those that a slot of virtio-mmio takes. */
const PCI_SUFFIX = '-pci';
const MMIO_SUFFIX = '-device';

/**
 * The arguments for the device that a profile describes. Objects are JSON, in which the characters of a path have no
 * special meaning. Throws `ERR_MACHINE_DEVICE` for a type that QEMU is not told how to make, for settings that QEMU's
 * device does not have, and for a back-end that it has no use for. The device is a function of the root bus, or in the
 * slot `mmioSlot` of virtio-mmio.
 */
export function deviceArguments(device: DeviceDescription, resources: QemuResources, mmioSlot?: number): string[] {
  const { type, settings } = device;
  if (type.qemu === undefined) {
    throw new CodedError('ERR_MACHINE_DEVICE', `device type ${type.name} does not say how QEMU makes such a device`, {
      hint: 'give the plugin of the type a `qemu`, or use @virtio-platform/machine-simulated',
    });
  }
  const { backEnd } = resources;
  let usesBackEnd = false;
  const made: QemuResources = {
    image: resources.image,
    loopback: resources.loopback,
    get backEnd() {
      usesBackEnd = true;
      return backEnd && BACK_END;
    },
  };
  const { before = [], device: properties, after = [] } = type.qemu.arguments(settings, made);
  if (backEnd !== undefined && !usesBackEnd) {
    const problem = `device type ${type.name} does not say how a device of QEMU works with a vhost-user back-end`;
    throw new CodedError('ERR_MACHINE_DEVICE', problem, {
      hint: 'leave machine.backEnd out, or use @virtio-platform/machine-vhost-user, which talks to the back-end itself',
    });
  }
  // QEMU reads a comma in a path twice.
  const socket =
    backEnd === undefined ? [] : ['-chardev', `socket,id=${BACK_END},path=${backEnd.replaceAll(',', ',,')}`];
  const place = mmioSlot === undefined ? pciProperties(device) : mmioProperties(device, properties.driver, mmioSlot);
  const whole = { ...properties, ...place, ...featureProperties(device) };
  const version = mmioSlot === undefined ? [] : ['-global', `virtio-mmio.force-legacy=${isLegacy(device)}`];
  return [...version, ...socket, ...before, '-device', JSON.stringify(whole), ...after];
}

function isLegacy({ interface: interfaces }: DeviceDescription): boolean {
  return interfaces === 'legacy';
}

/** The place of a device on the root bus, and its interfaces. */
function pciProperties(device: DeviceDescription): Record<string, unknown> {
  return {
    addr: `${DEVICE_SLOT.toString(16).padStart(2, '0')}.0`,
    'disable-legacy': device.interface === 'modern' ? 'on' : 'off',
    'disable-modern': isLegacy(device),
  };
}

/**
 * The place of a device in a slot. QEMU has each of its devices in two forms, `virtio-blk-pci` and `virtio-blk-device`;
 * a device type names the first.
 */
function mmioProperties(device: DeviceDescription, driver: unknown, slot: number): Record<string, unknown> {
  if (device.interface === 'transitional') {
    throw new CodedError('ERR_MACHINE_DEVICE', transitionalProblem('mmio')!, { hint: ONE_INTERFACE_HINT });
  }
  if (typeof driver !== 'string' || !driver.endsWith(PCI_SUFFIX)) {
    throw new CodedError('ERR_MACHINE_DEVICE', `QEMU's ${String(driver)} is no device for virtio-mmio`, {
      hint: 'use a board with PCI',
    });
  }
  return { driver: driver.slice(0, -PCI_SUFFIX.length) + MMIO_SUFFIX, bus: `virtio-mmio-bus.${slot}` };
}

/** The features of the device that QEMU has properties for. */
function featureProperties({ offers }: DeviceDescription): Record<string, unknown> {
  const isOffered = (bit: number, otherwise: boolean): boolean => offers?.has(bit) ?? otherwise;
  return {
    iommu_platform: isOffered(VIRTIO_F_ACCESS_PLATFORM, false),
    packed: isOffered(VIRTIO_F_RING_PACKED, false),
    event_idx: isOffered(VIRTIO_RING_F_EVENT_IDX, true),
    indirect_desc: isOffered(VIRTIO_RING_F_INDIRECT_DESC, true),
  };
}
