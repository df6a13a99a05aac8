import { loadProfile, type ProfileObject } from '@virtio-platform/profile';

/** A device type that is served: its section of a profile, and a workload, which conform never runs. */
interface ServedType {
  readonly device: Readonly<Record<string, unknown>>;
  readonly workload: Readonly<Record<string, unknown>>;
  /** Whether its driver takes ACCESS_PLATFORM; it does unless given. */
  readonly isTranslated?: boolean;
}

/** The device types that are served, by their short names. */
export const SERVED_TYPES: Readonly<Record<string, ServedType>> = {
  block: { device: { capacity: '16MiB', queues: 2 }, workload: { kind: 'read', blockSize: '4KiB' } },
  net: { device: { queuePairs: 2 }, workload: { kind: 'echo', blockSize: '100B' } },
  console: { device: { ports: 2 }, workload: { kind: 'echo', blockSize: '16B' } },
  entropy: { device: {}, workload: { kind: 'read', blockSize: '64B' } },
  scsi: {
    device: {
      queues: 2,
      disks: [
        { target: 0, lun: 0, capacity: '4MiB' },
        { target: 0, lun: 1, capacity: '4MiB', blockSize: '4KiB' },
      ],
    },
    workload: { kind: 'write-read-verify', blockSize: '4KiB' },
  },
  balloon: {
    device: { targets: ['1MiB'], hints: true, statistics: '1s' },
    workload: { kind: 'inflate-deflate' },
    // Pages are named by guest-physical addresses.
    isTranslated: false,
  },
};

/** How a driver reaches memory: by guest-physical addresses, or by those of an IOMMU. */
export const WAYS = ['physical', 'translated'] as const;

/** Features of the ring that the protocol carries; the other ones are of the transport. */
const RING = ['VERSION_1', 'RING_PACKED', 'RING_EVENT_IDX', 'RING_INDIRECT_DESC', 'IN_ORDER', 'ORDER_PLATFORM'];

/** The profile of what is served: all that its device half has, on either layout. */
export async function servedProfile(name: string, way: (typeof WAYS)[number]): Promise<ProfileObject> {
  const { device, workload } = SERVED_TYPES[name]!;
  const profile: ProfileObject = {
    profile: name,
    platform: { use: '@virtio-platform/platform-legacy' },
    machine: { use: '@virtio-platform/machine-simulated', memory: '16MiB' },
    device: { type: name, ...device },
    queue: { layout: 'packed', size: 64 },
    workload: { requests: 1, depth: 1, ...workload },
  };
  const { type, settings } = (await loadProfile(profile)).device;
  const offers = [...RING, ...type.model(settings, 'little').features.names(type.features)];
  return { ...profile, device: { type: name, ...device, offers: way === 'physical' ? offers : [...offers, ACCESS] } };
}

const ACCESS = 'ACCESS_PLATFORM';

/** The profile of the driver of what a command serves. */
export function driverProfile(name: string, way: (typeof WAYS)[number], command: readonly string[]): ProfileObject {
  const { device, workload } = SERVED_TYPES[name]!;
  const platform = way === 'physical' ? 'legacy' : 'intel-iommu';
  return {
    profile: `${name}, ${way}`,
    platform: { use: `@virtio-platform/platform-${platform}` },
    machine: { use: '@virtio-platform/machine-vhost-user', memory: '16MiB', replyTimeout: 2000, command },
    device: { type: name, ...device },
    workload: { requests: 1, depth: 1, ...workload },
  };
}
