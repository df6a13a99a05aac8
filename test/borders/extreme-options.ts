import { Random } from '@virtio-platform/conformance';

/** One combination of options, as the text of a profile. */
export interface Combination {
  readonly name: string;
  readonly text: string;
}

const MODERN = ['VERSION_1', 'ACCESS_PLATFORM'];
const RING = ['RING_INDIRECT_DESC', 'RING_EVENT_IDX', 'RING_PACKED', 'IN_ORDER', 'NOTIFICATION_DATA', 'RING_RESET'];

/** The platforms with windows, pools and apertures, from the smallest that they take to one with room to spare. */
const PLATFORMS: readonly string[] = [
  'use: legacy',
  ...['dynamic', 'linear'].map((mapping) => `use: pseries, window: { kind: ddw, mapping: ${mapping} }`),
  ...['4KiB', '16KiB', '128KiB', '1GiB'].map(
    (size) => `use: pseries, window: { kind: default, mapping: dynamic }, defaultWindowSize: ${size}`,
  ),
  'use: pseries, window: { kind: default, mapping: identity }',
  'use: pseries, secure: true, window: { kind: ddw, mapping: linear }',
  ...['256KiB', '1MiB', '16MiB'].map((pool) => `use: sev, pool: ${pool}`),
  'use: sev, pool: 1MiB, areas: 4',
  'use: sev, pool: 1MiB, alignmentMask: 0xfff',
  'use: sev, pool: 1MiB, boundary: 4KiB',
  ...['8KiB', '192KiB', '256MiB'].map((aperture) => `use: intel-iommu, aperture: ${aperture}`),
  'use: intel-iommu, largePages: false',
  ...['type1v2', 'iommufd'].map((container) => `use: vfio, container: ${container}`),
  ...['8KiB', '256KiB', '1GiB'].map((size) => `use: vfio, container: spapr-v1, defaultWindowSize: ${size}`),
  'use: vfio, memoryLockLimit: 64KiB',
];

const DEVICES: readonly { readonly type: string; readonly text: string; readonly features: readonly string[] }[] = [
  { type: 'block', text: 'capacity: 512B', features: [] },
  { type: 'block', text: 'capacity: 8MiB', features: ['BLK_SEG_MAX', 'BLK_BLK_SIZE', 'BLK_FLUSH'] },
  { type: 'block', text: 'capacity: 8MiB, queues: 64', features: ['BLK_SEG_MAX', 'BLK_MQ'] },
  { type: 'net', text: 'queuePairs: 1', features: [] },
  { type: 'net', text: 'queuePairs: 1', features: ['NET_MRG_RXBUF', 'NET_MAC', 'NET_STATUS'] },
  { type: 'net', text: 'queuePairs: 15', features: ['NET_MRG_RXBUF', 'NET_CTRL_VQ', 'NET_MQ'] },
  { type: 'entropy', text: 'seed: 1', features: [] },
  { type: 'console', text: 'ports: 1', features: ['CONSOLE_SIZE'] },
  { type: 'console', text: 'ports: 31', features: ['CONSOLE_MULTIPORT'] },
];

const SIZES = [1, 2, 3, 4, 256, 32_768];
const DEPTHS = [1, 7, 40];
/** Bytes of a request: the least, one odd, more than a page, and more than the slot of a pool. */
const BLOCKS: Readonly<Record<string, readonly number[]>> = {
  block: [512, 4096, 307_200],
  net: [14, 1515, 65_535],
  console: [1, 4097, 100_000],
  entropy: [1, 4096, 307_200],
};
const KINDS: Readonly<Record<string, readonly string[]>> = {
  block: ['write-read-verify'],
  net: ['echo', 'stream'],
  console: ['echo', 'stream', 'mixed'],
  entropy: ['read', 'mixed'],
};

/** Draws combinations without end: the same ones for the same seed. */
export function drawCombination(random: Random): Combination {
  const device = random.pick(DEVICES);
  const { type } = device;
  const platform = random.pick(PLATFORMS);
  const isLegacy = random.chance(20);
  const access = random.chance(80) ? MODERN : ['VERSION_1'];
  const ring = random.chance(30) ? [] : random.chance(30) ? RING : RING.filter(() => random.chance(50));
  const offers = isLegacy
    ? ['ANY_LAYOUT', 'RING_INDIRECT_DESC', 'RING_EVENT_IDX'].filter(() => random.chance(60))
    : [...access, ...ring];
  const layout = isLegacy || random.chance(50) ? 'split' : 'packed';
  const depth = random.pick(DEPTHS);
  const lines = [
    `platform: { ${platform.replace(/use: ([a-z-]+)/, 'use: "@virtio-platform/platform-$1"')} }`,
    `machine: { use: "@virtio-platform/machine-simulated", memory: ${random.pick(['4MiB', '64MiB'])} }`,
    `device: { type: ${type}, ${device.text}, ${isLegacy ? 'interface: legacy, ' : ''}offers: [${[...offers, ...device.features].join(', ')}] }`,
    `driver: { ${isLegacy ? 'interface: legacy, ' : ''}${platform.includes('vfio') ? 'privilege: process, ' : ''}buffers: ${random.pick(['premapped', 'streaming', 'coherent'])}, timeout: 2s }`,
    `queue: { layout: ${layout}, size: ${random.pick(SIZES)} }`,
    'expect: { queue: any }',
    `workload: { kind: ${random.pick(KINDS[type]!)}, requests: ${depth + 20}, depth: ${depth}, blockSize: ${random.pick(BLOCKS[type]!)}B, seed: 3 }`,
  ];
  return { name: lines.join(' | '), text: `profile: extreme\n${lines.join('\n')}\n` };
}
