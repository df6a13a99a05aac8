import type { ConformBench } from '@virtio-platform/core';
import type { AccessWidth } from '@virtio-platform/core/device';
import { PCI_BASE_ADDRESS_0, PCI_COMMAND, PCI_DEVICE_ID, PCI_SUBSYSTEM_ID, PCI_VENDOR_ID } from '@virtio-platform/pci';
import type { PciBench } from '../../pci/pci-bench.ts';
import { pciCase, type PciCase, pciCases } from '../../pci/pci-case.ts';

const REVISION = 0x08;
const HEADER_TYPE = 0x0e;
const CAPABILITY_POINTER = 0x34;
const INTERRUPT_PIN = 0x3d;
const DISCOVERY = '4.1.2.1';
const LEGACY = '4.1.2.3';
/** The ids of transitional functions, by device type. */
const TRANSITIONAL: Readonly<Record<number, number>> = {
  1: 0x1000,
  2: 0x1001,
  3: 0x1003,
  4: 0x1005,
  5: 0x1002,
  8: 0x1004,
  9: 0x1009,
};

function isTransitional({ pci }: PciBench): boolean {
  return pci.readConfig(PCI_DEVICE_ID, 2) < 0x1040;
}

/** Skips a case of another kind of device. */
function onlyOf(kind: 'modern' | 'transitional', bench: ConformBench, pci: PciBench): void {
  if (isTransitional(pci) !== (kind === 'transitional')) bench.skip(`the device is not ${kind}`);
}

/** Fields of the header that no driver may change, with their widths. */
const FIXED: readonly (readonly [name: string, offset: number, width: AccessWidth])[] = [
  ['vendor-id', PCI_VENDOR_ID, 2],
  ['device-id', PCI_DEVICE_ID, 2],
  ['revision-and-class', REVISION, 4],
  ['header-type', HEADER_TYPE, 1],
  ['subsystem-vendor-id', 0x2c, 2],
  ['subsystem-id', PCI_SUBSYSTEM_ID, 2],
  ['capability-pointer', CAPABILITY_POINTER, 1],
  ['interrupt-pin', INTERRUPT_PIN, 1],
];

/** Ids and the header (section 4.1.2, PCI local bus 3.0 chapter 6). */
export const PCI_IDENTITY_CASES: readonly PciCase[] = [
  ...pciCases({ clause: DISCOVERY }, [
    {
      id: 'pci/identity/vendor',
      title: 'has the vendor id 0x1af4',
      run: (bench, { pci }) => bench.equal('the vendor id', pci.readConfig(PCI_VENDOR_ID, 2), 0x1af4),
    },
    {
      id: 'pci/identity/device',
      title: 'has the device id of its type, or the transitional one',
      run: (bench, { pci }) => {
        const type = bench.transport.deviceId;
        const id = pci.readConfig(PCI_DEVICE_ID, 2);
        bench.check(id === 0x1040 + type || id === TRANSITIONAL[type], `the device id is 0x${id.toString(16)}`);
      },
    },
    {
      id: 'pci/identity/modern-revision',
      level: 'SHOULD',
      title: 'has a revision of 1 or more where it is not transitional',
      run: (bench, pci) => {
        onlyOf('modern', bench, pci);
        bench.check(pci.pci.readConfig(REVISION, 1) >= 1, 'the revision is 0');
      },
    },
    {
      id: 'pci/identity/modern-subsystem',
      level: 'SHOULD',
      title: 'has a subsystem id of 0x40 or more where it is not transitional',
      run: (bench, pci) => {
        onlyOf('modern', bench, pci);
        const id = pci.pci.readConfig(PCI_SUBSYSTEM_ID, 2);
        bench.check(id >= 0x40, `the subsystem id is 0x${id.toString(16)}`);
      },
    },
  ]),
  pciCase({
    id: 'pci/identity/transitional-revision',
    clause: LEGACY,
    title: 'has a revision of 0 where it is transitional',
    run: (bench, pci) => {
      onlyOf('transitional', bench, pci);
      bench.equal('the revision', pci.pci.readConfig(REVISION, 1), 0);
    },
  }),
  pciCase({
    id: 'pci/identity/transitional-subsystem',
    clause: LEGACY,
    title: 'has its device type as subsystem id where it is transitional',
    run: (bench, pci) => {
      onlyOf('transitional', bench, pci);
      bench.equal('the subsystem id', pci.pci.readConfig(PCI_SUBSYSTEM_ID, 2), bench.transport.deviceId);
    },
  }),
  pciCase({
    id: 'pci/identity/transitional-bar-0',
    clause: '4.1.4.10',
    title: 'has the legacy registers in I/O space at BAR 0 where it is transitional',
    run: (bench, pci) => {
      onlyOf('transitional', bench, pci);
      bench.equal('the kind of BAR 0', pci.pci.openBar(0)?.kind ?? 'none', 'io');
    },
  }),
  ...pciCases({ clause: '4.1' }, [
    {
      id: 'pci/header/type-0',
      title: 'has a header of type 0',
      run: (bench, { pci }) => bench.equal('the header type', pci.readConfig(HEADER_TYPE, 1) & 0x7f, 0),
    },
    {
      id: 'pci/header/interrupt-pin',
      title: 'names one of the four interrupt pins, or none',
      run: (bench, { pci }) => bench.check(pci.readConfig(INTERRUPT_PIN, 1) <= 4, 'the pin is above INTD'),
    },
    {
      id: 'pci/header/interrupt-line',
      title: 'keeps what software writes to the interrupt line',
      run: (bench, { pci }) => {
        const before = pci.readConfig(0x3c, 1);
        try {
          for (const value of [0x0b, 0xff]) {
            pci.writeConfig(0x3c, 1, value);
            bench.equal('the interrupt line', pci.readConfig(0x3c, 1), value);
          }
        } finally {
          pci.writeConfig(0x3c, 1, before);
        }
      },
    },
    {
      id: 'pci/header/command-kept',
      title: 'keeps the bits for memory and for bus mastering in its command register',
      run: (bench, { pci }) => {
        const before = pci.readConfig(PCI_COMMAND, 2);
        for (const bit of [2, 4]) {
          pci.writeConfig(PCI_COMMAND, 2, before & ~bit);
          bench.equal(`bit ${bit} of the command register`, pci.readConfig(PCI_COMMAND, 2) & bit, 0);
          pci.writeConfig(PCI_COMMAND, 2, before | bit);
          bench.equal(`bit ${bit} of the command register`, pci.readConfig(PCI_COMMAND, 2) & bit, bit);
        }
      },
    },
    {
      id: 'pci/header/bars-apart',
      title: 'has base address registers whose sizes are powers of 2',
      run: (bench, { pci }) => {
        for (let bar = 0; bar < 6; bar++) {
          const size = pci.openBar(bar)?.size ?? 1;
          bench.check(Number.isInteger(Math.log2(size)), `BAR ${bar} has ${size} bytes`);
        }
      },
    },
    {
      id: 'pci/header/bar-kept',
      title: 'keeps the addresses of its base address registers over a reset of the device',
      run: async (bench, { pci }) => {
        const bars = (): string =>
          Array.from({ length: 6 }, (_, bar) => pci.readConfig(PCI_BASE_ADDRESS_0 + 4 * bar, 4)).join();
        const before = bars();
        await bench.start();
        await bench.reset();
        bench.equal('the base address registers', bars(), before);
      },
    },
  ]),
  ...FIXED.map(([name, offset, width]): PciCase => ({
    id: `pci/header/fixed-${name}`,
    clause: '4.1',
    level: 'MUST',
    title: `keeps its ${name.replaceAll('-', ' ')} where software writes to it`,
    run: (bench, { pci }) => {
      const before = pci.readConfig(offset, width);
      for (const value of [0, 2 ** (8 * width) - 1]) {
        pci.writeConfig(offset, width, value);
        bench.equal(name, pci.readConfig(offset, width), before);
      }
    },
  })),
];
