import { HOST_BRIDGE_PROPERTIES } from './host-bridge-properties.ts';
import { INTEL_IOMMU_PROPERTIES } from './intel-iommu-properties.ts';

/** An argument of the profile that has no effect, or the opposite of what the profile says elsewhere. */
export interface ArgumentProblem {
  /** Its index in `machine.arguments`. */
  readonly index: number;
  readonly message: string;
}

/** The options of the machine that decide whether an argument has an effect. */
export interface ArgumentOptions {
  readonly arguments: readonly string[];
  readonly board: string;
  readonly iommu: string;
}

/** Properties that every virtio device on PCI gets, and what decides them in a profile. */
const OF_EVERY_DEVICE: Readonly<Record<string, string>> = {
  addr: 'the machine',
  'disable-legacy': 'device.interface',
  'disable-modern': 'device.interface',
  iommu_platform: 'device.offers (ACCESS_PLATFORM)',
  packed: 'device.offers (RING_PACKED)',
  event_idx: 'device.offers (RING_EVENT_IDX)',
  indirect_desc: 'device.offers (RING_INDIRECT_DESC)',
};

const OF_SCSI_DISKS: Readonly<Record<string, string>> = {
  bus: 'the machine',
  drive: 'the machine',
  'scsi-id': 'device.disks',
  lun: 'device.disks',
  logical_block_size: 'device.disks',
  physical_block_size: 'device.disks',
};

const OF_INTEL_IOMMU: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(INTEL_IOMMU_PROPERTIES).map(([name, key]) => [name, `machine.intelIommu.${key}`]),
);

const OF_HOST_BRIDGE: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(HOST_BRIDGE_PROPERTIES).map(([name, key]) => [name, `machine.hostBridge.${key}`]),
);
const OF_AMD_IOMMU: Readonly<Record<string, string>> = { intremap: 'the machine' };

/** The IOMMUs that are devices of QEMU, and what a profile writes for each. QEMU takes no second one. */
const IOMMUS: Readonly<Record<string, string>> = {
  'amd-iommu': 'machine.iommu: amd',
  'intel-iommu': 'machine.iommu: intel, and its properties as machine.intelIommu',
  'virtio-iommu-pci': 'machine.iommu: virtio, and its properties as machine.virtioIommu',
};

/** The properties that the machine sets itself, by the driver that they begin with, and what decides them. */
const OF_DRIVERS: readonly (readonly [driver: RegExp, properties: Readonly<Record<string, string>>])[] = [
  [
    /^virtio-blk-/,
    { drive: 'the machine', 'num-queues': 'device.queues', werror: 'the machine', rerror: 'the machine' },
  ],
  [/^virtio-net-/, { netdev: 'the machine', mac: 'device.mac', mq: 'the machine', rss: 'the machine' }],
  [/^virtio-serial-/, { max_ports: 'device.ports' }],
  [
    /^virtconsole$|^virtserial/,
    { bus: 'the machine', nr: 'device.ports', name: 'device.ports', chardev: 'the machine' },
  ],
  [/^virtio-rng-/, { rng: 'the machine' }],
  [/^virtio-iommu-/, { 'boot-bypass': 'machine.virtioIommu', packed: 'machine.virtioIommu', addr: 'the machine' }],
  [/^spapr-pci-host-bridge$/, OF_HOST_BRIDGE],
  [/^virtio-scsi-/, { num_queues: 'device.queues' }],
  [/^scsi-hd$/, OF_SCSI_DISKS],
  [
    /^virtio-balloon-/,
    {
      'deflate-on-oom': 'the machine',
      'free-page-reporting': 'the machine',
      'guest-stats-polling-interval': 'device.statistics',
    },
  ],
  [/^(virtio-|pci-device$|device$)/, OF_EVERY_DEVICE],
];

/** Options of QEMU that the machine gives itself, and what decides them in a profile. */
const OWN_OPTIONS: Readonly<Record<string, string>> = {
  m: 'machine.memory',
  bios: 'the machine, which drives the processor',
  qtest: 'the machine, which drives QEMU through it',
  accel: 'the machine, whose processor is emulated',
  smp: 'the machine, which has one processor',
};

/**
 * Finds arguments that QEMU takes and that change nothing, because the machine sets the same property of a device
 * explicitly, which wins over `-global` (QEMU qdev, `qdev_prop_set_globals`), and options that contradict the profile.
 */
export function* overriddenArguments(options: ArgumentOptions): Generator<ArgumentProblem> {
  const { arguments: words } = options;
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    const option = /^--?([\w-]+)$/.exec(word)?.[1];
    if (option === undefined) continue;
    const owner = OWN_OPTIONS[option];
    if (owner !== undefined) yield { index, message: `${word} is decided by ${owner}` };
    const value = words[index + 1];
    if (value === undefined) continue;
    if (option === 'device') yield* deviceProblems(index + 1, value);
    if (option === 'global') yield* problemOf(index + 1, value, options);
    if (option === 'machine' || option === 'M') yield* machineProblems(index + 1, value, options);
  }
}

function* problemOf(index: number, value: string, options: ArgumentOptions): Generator<ArgumentProblem> {
  const global = parseGlobal(value);
  if (global === undefined) return;
  if (global.driver === 'virtio-mmio' && global.property === 'force-legacy')
    yield { index, message: 'force-legacy of virtio-mmio is decided by device.interface' };
  const owner = ownerOf(global.driver, global.property, options);
  if (owner === undefined) return;
  const what = `${global.property} of ${global.driver}`;
  yield { index, message: `has no effect: ${owner} decides ${what}, and QEMU prefers what is set for a device itself` };
}

/** An IOMMU beside that of the profile: the driver would not know of it. */
function* deviceProblems(index: number, value: string): Generator<ArgumentProblem> {
  const driver = /^\{.*"driver"\s*:\s*"([^"]*)"/s.exec(value)?.[1] ?? value.replace(/^driver=/, '').split(',', 1)[0]!;
  const instead = Object.hasOwn(IOMMUS, driver) ? IOMMUS[driver] : undefined;
  if (instead === undefined) return;
  yield { index, message: `${driver} is decided by machine.iommu: write ${instead}` };
}

/** Both forms of `-global`: `driver.property=value`, and `driver=...,property=...,value=...`. */
function parseGlobal(value: string): { readonly driver: string; readonly property: string } | undefined {
  const short = /^([\w-]+)\.([\w.-]+)=/.exec(value);
  if (short !== null) return { driver: short[1]!, property: short[2]! };
  const parts = new Map(value.split(',').map((part) => [part.split('=', 1)[0]!, part.slice(part.indexOf('=') + 1)]));
  const [driver, property] = [parts.get('driver'), parts.get('property')];
  return driver === undefined || property === undefined ? undefined : { driver, property };
}

function ownerOf(driver: string, property: string, { iommu }: ArgumentOptions): string | undefined {
  // QEMU writes a property with either character.
  const names = [property, property.replaceAll('-', '_'), property.replaceAll('_', '-')];
  const own = (properties: Readonly<Record<string, string>>): string | undefined =>
    names.map((name) => (Object.hasOwn(properties, name) ? properties[name] : undefined)).find(Boolean);
  if (driver === 'amd-iommu') return iommu === 'amd' ? own(OF_AMD_IOMMU) : undefined;
  if (driver === 'intel-iommu' || driver === 'x86-iommu') return iommu === 'intel' ? own(OF_INTEL_IOMMU) : undefined;
  for (const [pattern, properties] of OF_DRIVERS) {
    const owner = pattern.test(driver) ? own(properties) : undefined;
    if (owner !== undefined) return owner;
  }
  return undefined;
}

/** The type and the memory of the machine are those of the profile; its other properties can be added. */
function* machineProblems(index: number, value: string, { board }: ArgumentOptions): Generator<ArgumentProblem> {
  for (const [at, part] of value.split(',').entries()) {
    const [name, text] = part.includes('=') ? part.split('=', 2) : ['type', part];
    if (at > 0 && name === 'type' && !part.includes('=')) continue;
    if (name === 'type' && text !== board)
      yield { index, message: `the machine type ${text} is decided by machine.board` };
    if (name === 'iommu') yield { index, message: 'the IOMMU of the machine is decided by machine.iommu' };
    if (name === 'memory-backend' || name === 'max-ram-below-4g')
      yield { index, message: `${name} is decided by machine.memory` };
  }
}
