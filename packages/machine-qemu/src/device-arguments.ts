import { CodedError, type DeviceDescription, type QemuResources } from '@virtio-platform/core';
import {
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_RING_PACKED,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '@virtio-platform/core/features';

/** The slot of the device on the root bus. */
export const DEVICE_SLOT = 4;

/**
 * The arguments for the device that a profile describes. Objects are JSON, in which the characters of a path have no
 * special meaning. Throws `ERR_MACHINE_DEVICE` for a type that QEMU is not told how to make, and for settings that
 * QEMU's device does not have. With the socket of a back-end, QEMU has the PCI function only.
 */
export function deviceArguments(device: DeviceDescription, resources: QemuResources, backEnd?: string): string[] {
  const { type, settings } = device;
  if (backEnd !== undefined) return backEndArguments(device, backEnd);
  if (type.qemu === undefined) {
    throw new CodedError('ERR_MACHINE_DEVICE', `device type ${type.name} does not say how QEMU makes such a device`, {
      hint: 'give the plugin of the type a `qemu`, or use @virtio-platform/machine-simulated',
    });
  }
  const { before = [], device: properties, after = [] } = type.qemu.arguments(settings, resources);
  return [...before, '-device', JSON.stringify(pciDevice(device, properties)), ...after];
}

function backEndArguments(device: DeviceDescription, socket: string): string[] {
  const { name, vhostUser } = device.type;
  const driver = vhostUser?.qemuDevice;
  if (driver === undefined) {
    throw new CodedError('ERR_MACHINE_DEVICE', `QEMU has no device of type ${name} whose back-end is another program`, {
      hint: 'leave machine.backEnd out, or drive the back-end with @virtio-platform/machine-vhost-user',
    });
  }
  const properties = pciDevice(device, { driver, chardev: 'back-end' });
  return ['-chardev', `socket,id=back-end,path=${socket.replaceAll(',', ',,')}`, '-device', JSON.stringify(properties)];
}

/** A device at its place on the bus. */
function pciDevice(device: DeviceDescription, properties: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const address = `${DEVICE_SLOT.toString(16).padStart(2, '0')}.0`;
  return { ...properties, addr: address, ...interfaceProperties(device) };
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
