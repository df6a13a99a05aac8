import { CodedError, type DeviceDescription } from '@virtio-platform/core';
import {
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_RING_PACKED,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '@virtio-platform/core/features';
import { z } from 'zod';

/** The slot of the device on the root bus. */
export const DEVICE_SLOT = 4;

/** Files and descriptors of this process that a device uses while QEMU runs. They are made at boot. */
export interface DeviceResources {
  /** The path of the image of a disk of `capacity` bytes. It makes an empty image where the profile has no `path`. */
  readonly image: (path: string | undefined, capacity: number) => string;
  /** The number, in QEMU, of a descriptor that returns what is written to it. */
  readonly loopback: (kind: 'packets' | 'stream') => number;
}

const settingsOf = {
  block: z.object({
    capacity: z.number().int().min(0),
    image: z.string().optional(),
    readOnly: z.boolean(),
    serial: z.string(),
    queues: z.number().int().min(1).default(1),
  }),
  net: z.object({ mac: z.string(), queuePairs: z.number().int().min(1) }),
  console: z.object({ ports: z.number().int().min(1).max(31) }),
  entropy: z.object({ seed: z.number().optional() }),
};

/**
 * The arguments for the device that a profile describes. Objects are JSON, in which the characters of a path have no
 * special meaning. Net and console receive what they send. Throws `ERR_MACHINE_DEVICE` for settings that QEMU's devices
 * do not have.
 */
export function deviceArguments(device: DeviceDescription, resources: DeviceResources): string[] {
  const common = { addr: `${DEVICE_SLOT.toString(16).padStart(2, '0')}.0`, ...interfaceProperties(device) };
  switch (device.type) {
    case 'block': {
      const { capacity, image, readOnly, serial, queues } = settingsOf.block.parse(device.settings);
      const file = { driver: 'file', filename: resources.image(image, capacity), 'read-only': readOnly };
      const disk = { driver: 'raw', 'node-name': 'disk', 'read-only': readOnly, file };
      const named = serial === '' ? {} : { serial };
      return [
        '-blockdev',
        json(disk),
        ...pci('virtio-blk-pci', { drive: 'disk', 'num-queues': queues, ...named, ...common }),
      ];
    }
    case 'net': {
      const { mac, queuePairs } = settingsOf.net.parse(device.settings);
      if (queuePairs > 1) throw unsupported('more than one pair of queues for a network that this process makes');
      const packets = `dgram,id=network,local.type=fd,local.str=${resources.loopback('packets')}`;
      return ['-netdev', packets, ...pci('virtio-net-pci', { netdev: 'network', mac, ...common })];
    }
    case 'console': {
      const { ports } = settingsOf.console.parse(device.settings);
      const lines = Array.from({ length: ports }, (_, port) => [
        '-chardev',
        `pipe,id=line${port},path=/proc/self/fd/${resources.loopback('stream')}`,
        '-device',
        json({ driver: 'virtconsole', bus: 'serial.0', nr: port, chardev: `line${port}` }),
      ]);
      return [...pci('virtio-serial-pci', { id: 'serial', max_ports: ports, ...common }), ...lines.flat()];
    }
    case 'entropy': {
      if (settingsOf.entropy.parse(device.settings).seed !== undefined)
        throw unsupported('a seed: its bytes are random');
      return ['-object', 'rng-builtin,id=random', ...pci('virtio-rng-pci', { rng: 'random', ...common })];
    }
    default:
      throw unsupported(`a device of type ${device.type}`);
  }
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

function pci(driver: string, properties: Record<string, unknown>): string[] {
  return ['-device', json({ driver, ...properties })];
}

function json(value: unknown): string {
  return JSON.stringify(value);
}

function unsupported(what: string): CodedError {
  return new CodedError('ERR_MACHINE_DEVICE', `the device of QEMU does not have ${what}`, {
    hint: 'leave it out of the device section, or use @virtio-platform/machine-simulated',
  });
}
