import type { CaseBus, FeatureCase } from './feature-cases.ts';
import { runLinuxGuest } from './linux-guest.ts';
import { slotAt } from './mmio-slots.ts';

/** What Linux made of one device. */
export interface LinuxDevice {
  /** On bus 0, or of virtio-mmio. */
  readonly slot: number;
  /** The device type's number (specification 1.4 section 5). */
  readonly id: number;
  /** The device status field. */
  readonly status: number;
  readonly accepted: bigint;
  /** The kind of its IOMMU domain, as Linux calls it: `DMA`, `DMA-FQ`, `unknown` on POWER; `none` without a group. */
  readonly domain: string;
}

export interface LinuxDevices {
  /** As `uname -r` says it. */
  readonly version: string;
  readonly devices: readonly LinuxDevice[];
  readonly durationMs: number;
}

const MODULES = ['virtio_blk', 'virtio_net', 'virtio-rng', 'virtio_console', 'virtio_balloon', 'virtio_scsi'];

/** How Linux shows where a device is. */
interface BusView {
  readonly module: string;
  /** Prints the place of the device whose parent in sysfs is `$parent`. */
  readonly place: string;
  /** No number for what is elsewhere. */
  slotOf(from: FeatureCase, place: string): number;
}

const VIEWS: Readonly<Record<CaseBus, BusView>> = {
  pci: {
    module: 'virtio_pci',
    place: 'echo $parent',
    slotOf: (_from, place) => parseInt(/^0000:00:(\w\w)\.0$/.exec(place)?.[1] ?? '', 16),
  },
  // Only a device tree has the address in the name; ACPI numbers its devices in the order in which it finds them.
  mmio: {
    module: 'virtio_mmio',
    place: `awk "/$parent/ { print \\$1; exit }" /proc/iomem`,
    slotOf: ({ architecture }, place) => slotAt(architecture, parseInt(place, 16)),
  },
};

/** A device is below the function or slot that it is behind; its features are one character each, bit 0 first. */
function scriptFor({ place }: BusView): string {
  return `echo "kernel $(uname -r)"
for device in /sys/bus/virtio/devices/*; do
  parent=$(basename $(dirname $(readlink -f $device)))
  place=$(${place})
  domain=$(cat $device/../iommu_group/type 2>/dev/null || echo none)
  echo "device $place $(cat $device/device) $(cat $device/status) $(cat $device/features) $domain"
done
`;
}
const DEVICE = /^device (\S+) (0x\w{4}) (0x\w{8}) ([01]{64}) (\S+)$/gm;

/** Boots Linux with the devices of a case, and reads which features its drivers accepted. */
export async function readAcceptedFeatures(from: FeatureCase): Promise<LinuxDevices> {
  const { architecture, release, append } = from;
  const view = VIEWS[from.bus];
  const modules = [...from.modules, view.module, ...MODULES];
  const options = { architecture, release, append, arguments: from.arguments, modules, script: scriptFor(view) };
  const { console, durationMs } = await runLinuxGuest(options);
  const version = /^kernel (\S+)$/m.exec(console)?.[1];
  const slots = new Set(from.devices.map(({ slot }) => slot));
  const devices = [...console.matchAll(DEVICE)]
    .map(([, place, id, status, features, domain]) => ({
      slot: view.slotOf(from, place!),
      id: Number(id),
      status: Number(status),
      accepted: BigInt(`0b${features!.split('').toReversed().join('')}`),
      domain: domain!,
    }))
    // A virtio-iommu is a virtio device too.
    .filter(({ slot }) => slots.has(slot));
  if (version === undefined || devices.length !== from.devices.length)
    throw new Error(`Linux shows ${devices.length} of ${from.devices.length} virtio devices:\n${console}`);
  return { version, devices: devices.toSorted((a, b) => a.slot - b.slot), durationMs };
}
