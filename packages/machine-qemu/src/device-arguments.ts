import { CodedError, type DeviceDescription, type QemuResources } from '@virtio-platform/core';
import {
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

/**
 * The arguments for the device that a profile describes. Objects are JSON, in which the characters of a path have no
 * special meaning. Throws `ERR_MACHINE_DEVICE` for a type that QEMU is not told how to make, for settings that QEMU's
 * device does not have, and for a back-end that it has no use for.
 */
export function deviceArguments(device: DeviceDescription, resources: QemuResources): string[] {
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
  const address = `${DEVICE_SLOT.toString(16).padStart(2, '0')}.0`;
  const whole = { ...properties, addr: address, ...interfaceProperties(device) };
  return [...socket, ...before, '-device', JSON.stringify(whole), ...after];
}

/** The interfaces of the device, and those of its features that QEMU has properties for. */
function interfaceProperties({ interface: interfaces, offers }: DeviceDescription): Record<string, unknown> {
  const isOffered = (bit: number, otherwise: boolean): boolean => offers?.has(bit) ?? otherwise;
  return {
    'disable-legacy': interfaces === 'modern' ? 'on' : 'off',
    'disable-modern': interfaces === 'legacy',
    iommu_platform: isOffered(VIRTIO_F_ACCESS_PLATFORM, false),
    packed: isOffered(VIRTIO_F_RING_PACKED, false),
    event_idx: isOffered(VIRTIO_RING_F_EVENT_IDX, true),
    indirect_desc: isOffered(VIRTIO_RING_F_INDIRECT_DESC, true),
  };
}
