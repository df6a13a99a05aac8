import type { ProfileObject } from '@virtio-platform/profile';

/** The boards of QEMU on which its devices are tried. */
export const BOARDS = ['q35', 'pc', 'pseries', 'microvm', 'virt'] as const;

/** What every device here offers of the ring; QEMU 7.2 knows some of it only. */
const RING = [
  'VERSION_1',
  'RING_PACKED',
  'RING_EVENT_IDX',
  'RING_INDIRECT_DESC',
  'RING_RESET',
  'NOTIFICATION_DATA',
  'IN_ORDER',
];

/** A device of QEMU: its section of a profile, its features, and a workload, which conform never runs. */
interface QemuDevice {
  readonly device: Readonly<Record<string, unknown>>;
  readonly offers: readonly string[];
  readonly workload: Readonly<Record<string, unknown>>;
}

/** The devices by their types. */
export const DEVICES: Readonly<Record<string, QemuDevice>> = {
  block: {
    device: { capacity: '16MiB', queues: 3 },
    offers: [
      'BLK_SEG_MAX',
      'BLK_GEOMETRY',
      'BLK_BLK_SIZE',
      'BLK_FLUSH',
      'BLK_TOPOLOGY',
      'BLK_CONFIG_WCE',
      'BLK_MQ',
      'BLK_DISCARD',
      'BLK_WRITE_ZEROES',
    ],
    workload: { kind: 'read', blockSize: '4KiB' },
  },
  net: {
    device: { mtu: 1500 },
    offers: [
      'NET_CSUM',
      'NET_GUEST_CSUM',
      'NET_MTU',
      'NET_MAC',
      'NET_MRG_RXBUF',
      'NET_STATUS',
      'NET_CTRL_VQ',
      'NET_CTRL_RX',
      'NET_CTRL_VLAN',
      'NET_CTRL_RX_EXTRA',
      'NET_GUEST_ANNOUNCE',
      'NET_CTRL_MAC_ADDR',
    ],
    workload: { kind: 'echo', blockSize: '100B' },
  },
  entropy: { device: {}, offers: [], workload: { kind: 'read', blockSize: '64B' } },
  console: {
    device: { ports: 2 },
    offers: ['CONSOLE_MULTIPORT', 'CONSOLE_EMERG_WRITE'],
    workload: { kind: 'echo', blockSize: '16B' },
  },
  scsi: {
    device: { queues: 2, disks: [{ capacity: '4MiB' }] },
    offers: ['SCSI_HOTPLUG', 'SCSI_CHANGE'],
    workload: { kind: 'write-read-verify', blockSize: '512B' },
  },
  balloon: {
    device: { statistics: '1s' },
    offers: ['BALLOON_STATS_VQ', 'BALLOON_DEFLATE_ON_OOM', 'BALLOON_PAGE_POISON', 'BALLOON_PAGE_REPORTING'],
    workload: { kind: 'inflate-deflate' },
  },
};

/**
 * The profile of a device on a board: transitional, so that both interfaces are tried, and modern where there is no
 * such device: where addresses are translated, and on virtio-mmio.
 */
export function qemuProfile(type: string, board: (typeof BOARDS)[number]): ProfileObject {
  const { device, offers, workload } = DEVICES[type]!;
  const isPower = board === 'pseries';
  const isOnMmio = board === 'microvm' || board === 'virt';
  // The pages of a balloon are named by guest-physical addresses: its driver declines ACCESS_PLATFORM.
  const isTranslated = isPower && type !== 'balloon';
  const platform = isPower
    ? { use: '@virtio-platform/platform-pseries', window: { kind: 'default', mapping: 'dynamic' } }
    : { use: '@virtio-platform/platform-legacy' };
  return {
    profile: `${type} on ${board}`,
    platform,
    machine: { use: '@virtio-platform/machine-qemu', board, memory: isPower ? '256MiB' : '32MiB' },
    device: {
      type,
      ...device,
      interface: isTranslated || isOnMmio ? 'modern' : 'transitional',
      offers: [...RING, ...(isTranslated ? ['ACCESS_PLATFORM'] : []), ...offers],
    },
    workload: { requests: 1, depth: 1, ...workload },
  };
}
