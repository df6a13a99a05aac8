import type { ConformBench } from '@virtio-platform/core';
import { VIRTIO_F_NOTIFICATION_DATA } from '@virtio-platform/core/features';
import { listCapabilities } from '@virtio-platform/pci';
import { COMMON } from '../../pci/common-registers.ts';
import type { PciBench } from '../../pci/pci-bench.ts';
import { pciCase, type PciCase, pciCases } from '../../pci/pci-case.ts';
import { CFG_TYPE, type VirtioCapability } from '../../pci/virtio-capability.ts';

/** A type of capability, and what section 4.1.4 says of it. */
interface CapabilityRule {
  readonly name: string;
  readonly type: number;
  readonly clause: string;
  /** Bytes that cap_len is at least. */
  readonly length: number;
  /** Bytes to which the structure is aligned; 0 where nothing says so. */
  readonly alignment: number;
}

const RULES: readonly CapabilityRule[] = [
  { name: 'common', type: CFG_TYPE.common, clause: '4.1.4.3.1', length: 16, alignment: 4 },
  { name: 'notify', type: CFG_TYPE.notify, clause: '4.1.4.4.1', length: 20, alignment: 2 },
  { name: 'isr', type: CFG_TYPE.isr, clause: '4.1.4.5.1', length: 16, alignment: 0 },
  { name: 'device', type: CFG_TYPE.device, clause: '4.1.4.6.1', length: 16, alignment: 4 },
  { name: 'window', type: CFG_TYPE.window, clause: '4.1.4.9.1', length: 20, alignment: 0 },
];

/** Whether the type of the device has a configuration, so that there has to be a structure for it. */
function hasConfiguration({ configTable, device }: ConformBench): boolean {
  return Object.values(configTable).some(
    ({ feature }) => feature === undefined || [feature].flat().some((bit) => device.offered.has(bit)),
  );
}

/** The capabilities of a type. Skips the case where there has to be none. */
function ofType(bench: ConformBench, pci: PciBench, rule: CapabilityRule): readonly VirtioCapability[] {
  const found = pci.capabilities.filter(({ type }) => type === rule.type);
  if (found.length > 0) return found;
  if (rule.name === 'device' && !hasConfiguration(bench)) return bench.skip('the device has no configuration');
  return bench.fail(`the function has no capability of type ${rule.type}`);
}

/** Those of a type that name a structure: what the window has is the driver's. */
function casesOf(rule: CapabilityRule): readonly PciCase[] {
  const { name, clause, length, alignment } = rule;
  const one = (id: string, title: string, run: PciCase['run'], section = clause): PciCase => ({
    id: `pci/capability/${name}-${id}`,
    clause: section,
    level: 'MUST',
    title,
    run,
  });
  const present = one('present', `has a capability of the type ${name}`, (bench, pci) => void ofType(bench, pci, rule));
  const long = one(
    'length',
    `has a cap_len of ${length} and more in each capability of the type ${name}`,
    (bench, pci) => {
      for (const capability of ofType(bench, pci, rule))
        bench.check(capability.length >= length, `cap_len is ${capability.length}, of a structure of ${length} bytes`);
    },
    '4.1.4.2',
  );
  const ends = one(
    'in-space',
    `has each capability of the type ${name} in configuration space, at a multiple of 4`,
    (bench, pci) => {
      for (const { at, length: bytes } of ofType(bench, pci, rule)) {
        bench.equal('the rest of its offset by 4', at % 4, 0);
        bench.check(at + bytes <= 256, `the capability at ${at} has ${bytes} bytes`);
      }
    },
    '4.1.4',
  );
  if (name === 'window') return [present, long, ends];
  return [
    present,
    long,
    ends,
    one(
      'bar',
      `has its ${name} structure in a base address register that is mapped`,
      (bench, pci) => {
        for (const { bar } of ofType(bench, pci, rule))
          bench.check(bar <= 5 && pci.pci.openBar(bar) !== undefined, `BAR ${bar} maps nothing`);
      },
      '4.1.4',
    ),
    one(
      'inside',
      `has its whole ${name} structure inside of its base address register`,
      (bench, pci) => {
        for (const { bar, offset, bytes } of ofType(bench, pci, rule)) {
          const size = pci.pci.openBar(bar)?.size ?? 0;
          bench.check(offset + bytes <= size, `bytes ${offset} to ${offset + bytes} of BAR ${bar}, which has ${size}`);
        }
      },
      '4.1.4',
    ),
    one(
      'apart',
      `has no byte of its ${name} structure in another structure, in the table of MSI-X or in its pending bits`,
      (bench, pci) => {
        const msix = pci.msix === undefined ? [] : [pci.msix.table, pci.msix.pendingBits];
        for (const { at, bar, offset, bytes } of ofType(bench, pci, rule)) {
          const others = pci.capabilities.filter((other) => other.at !== at && other.type <= CFG_TYPE.device);
          for (const other of [...others, ...msix]) {
            const isApart = other.bar !== bar || other.offset >= offset + bytes || other.offset + other.bytes <= offset;
            bench.check(isApart, `the structure at ${offset} of BAR ${bar} overlaps the one at ${other.offset}`);
          }
        }
      },
      '4.1.4',
    ),
    ...(alignment === 0
      ? []
      : [
          one('aligned', `has its ${name} structure at a multiple of ${alignment}`, (bench, pci) => {
            for (const { offset } of ofType(bench, pci, rule))
              bench.equal('the rest of its offset', offset % alignment, 0);
          }),
        ]),
    one(
      'unwritten',
      `keeps its ${name} capability where a driver writes to it`,
      (bench, pci) => {
        const before = ofType(bench, pci, rule);
        for (const { at } of before) for (const byte of [3, 4, 8, 12]) pci.pci.writeConfig(at + byte, 1, 0xff);
        const after = before.map(({ at }) => [3, 4, 8, 12].map((byte) => pci.pci.readConfig(at + byte, 1)));
        const right = before.map(({ type, bar, offset, bytes }) => [type, bar, offset & 0xff, bytes & 0xff]);
        bench.equal('its fields', after.join(), right.join());
      },
      '4.1.4.1',
    ),
  ];
}

/** Where the common and the device structure have to end, and the notification registers. */
const SIZE_CASES: readonly PciCase[] = [
  pciCase({
    id: 'pci/capability/common-long-enough',
    clause: '4.1.4.3',
    title: 'has a common structure with every register of the features that it offers',
    run: (bench, pci) => {
      const { bytes } = pci.structure(CFG_TYPE.common).capability;
      const { offered } = bench.device;
      const end = offered.has(40) ? 0x3c : offered.has(39) ? 0x3a : 0x38;
      bench.check(bytes >= end, `it has ${bytes} bytes, and its registers ${end}`);
    },
  }),
  pciCase({
    id: 'pci/capability/device-long-enough',
    clause: '4.1.4.6',
    title: 'has a device structure with every field of the features that it offers',
    run: (bench, pci) => {
      if (!hasConfiguration(bench)) bench.skip('the device has no configuration');
      const { bytes } = pci.structure(CFG_TYPE.device).capability;
      for (const [name, { offset, width, feature }] of Object.entries(bench.configTable)) {
        const isThere = feature === undefined || [feature].flat().some((bit) => bench.device.offered.has(bit));
        if (isThere) bench.check(offset + width <= bytes, `${name} ends at byte ${offset + width} of ${bytes}`);
      }
    },
  }),
  pciCase({
    id: 'pci/capability/notify-long-enough',
    clause: '4.1.4.4.1',
    title: 'has a notification structure with the register of every queue',
    run: async (bench, pci) => {
      await bench.reset();
      const { bytes } = pci.structure(CFG_TYPE.notify).capability;
      const width = bench.device.offered.has(VIRTIO_F_NOTIFICATION_DATA) ? 4 : 2;
      for (let queue = 0; queue < pci.read(COMMON.numQueues); queue++) {
        const end = pci.notifyOffset(queue) + width;
        bench.check(end <= bytes, `the register of queue ${queue} ends at byte ${end} of ${bytes}`);
      }
    },
  }),
  pciCase({
    id: 'pci/capability/notify-multiplier',
    clause: '4.1.4.4.1',
    title: 'has a notify_off_multiplier of 0 or of an even power of 2',
    run: (bench, pci) => {
      const { notifyMultiplier } = pci;
      const least = bench.device.offered.has(VIRTIO_F_NOTIFICATION_DATA) ? 4 : 2;
      const isRight =
        notifyMultiplier === 0 || (Number.isInteger(Math.log2(notifyMultiplier)) && notifyMultiplier >= least);
      bench.check(isRight, `notify_off_multiplier is ${notifyMultiplier}`);
    },
  }),
];

/** The list of capabilities, and those of other kinds. */
const LIST_CASES: readonly PciCase[] = [
  ...pciCases({ clause: '4.1' }, [
    {
      id: 'pci/list/ends',
      title: 'has a list of capabilities that ends',
      run: (bench, { pci }) => {
        let at = pci.readConfig(0x34, 1);
        let entries = 0;
        for (; at !== 0 && entries <= 48; entries++) at = pci.readConfig((at & 0xfc) + 1, 1);
        bench.check(entries > 0 && entries <= 48, `it has ${entries} entries and more`);
      },
    },
    {
      id: 'pci/list/behind-header',
      title: 'has its capabilities behind the header, at multiples of 4',
      run: (bench, { pci }) => {
        let at = pci.readConfig(0x34, 1);
        for (let entries = 0; at !== 0 && entries <= 48; entries++) {
          bench.check(at >= 0x40 && at % 4 === 0, `a capability is at byte ${at}`);
          at = pci.readConfig(at + 1, 1);
        }
      },
    },
    {
      id: 'pci/list/said-in-status',
      title: 'says in its PCI status that it has a list of capabilities',
      run: (bench, { pci }) => bench.check((pci.readConfig(0x06, 2) & 0x10) !== 0, 'the bit for it is clear'),
    },
  ]),
  pciCase({
    id: 'pci/list/vendor-of-vendor-data',
    clause: '4.1.4.8.1',
    title: 'has a vendor data capability of another vendor, of a multiple of 4 bytes',
    run: (bench, { pci, capabilities }) => {
      const found = capabilities.filter(({ type }) => type === CFG_TYPE.vendor);
      if (found.length === 0) bench.skip('the function has no vendor data');
      for (const { at, length } of found) {
        bench.check(pci.readConfig(at + 4, 2) !== 0x1af4, 'the vendor is that of virtio');
        bench.equal('the rest of its length by 4', length % 4, 0);
      }
    },
  }),
  pciCase({
    id: 'pci/list/shared-memory',
    clause: '4.1.4.7.1',
    title: 'has each shared memory region inside of its base address register, with an id of its own',
    run: (bench, { pci, capabilities }) => {
      const found = capabilities.filter(({ type }) => type === CFG_TYPE.sharedMemory);
      if (found.length === 0) bench.skip('the function has no shared memory');
      bench.equal('ids of its own', new Set(found.map(({ id }) => id)).size, found.length);
      for (const { bar, offset, bytes } of found)
        bench.check(offset + bytes <= (pci.openBar(bar)?.size ?? 0), `a region ends behind BAR ${bar}`);
    },
  }),
  pciCase({
    id: 'pci/list/types',
    clause: '4.1.4',
    title: 'has no capability of a reserved type',
    run: (bench, { capabilities }) => {
      const known: readonly number[] = Object.values(CFG_TYPE);
      for (const { type } of capabilities) bench.check(known.includes(type), `a capability has the type ${type}`);
    },
  }),
  pciCase({
    id: 'pci/list/msix-once',
    clause: '4.1',
    title: 'has one MSI-X capability at most',
    run: (bench, { pci }) =>
      bench.check(listCapabilities(pci).filter(({ id }) => id === 0x11).length <= 1, 'it has several'),
  }),
];

/** Capabilities (sections 4.1.4 and below). */
export const PCI_CAPABILITY_CASES: readonly PciCase[] = [...RULES.flatMap(casesOf), ...SIZE_CASES, ...LIST_CASES];
