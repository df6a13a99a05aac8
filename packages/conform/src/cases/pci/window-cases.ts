import { BOTH_LAYOUTS, type ConformBench } from '@virtio-platform/core';
import type { AccessWidth } from '@virtio-platform/core/device';
import { VIRTIO_F_NOTIFICATION_DATA } from '@virtio-platform/core/features';
import { COMMON, type CommonRegister } from '../../pci/common-registers.ts';
import { UNTAKEN } from '../../pci/interrupt-mode.ts';
import type { PciBench } from '../../pci/pci-bench.ts';
import { type PciCase, pciCases } from '../../pci/pci-case.ts';
import { CFG_TYPE } from '../../pci/virtio-capability.ts';

const CLAUSE = '4.1.4.9.1';
/** Fields of struct virtio_pci_cfg_cap. */
const BAR = 4;
const OFFSET = 8;
const LENGTH = 12;
const DATA = 16;

/** The window of the configuration capability on a structure. */
class Window {
  readonly #pci: PciBench['pci'];
  readonly #at: number;

  constructor(bench: ConformBench, { pci, capabilities }: PciBench) {
    const capability = capabilities.find(({ type }) => type === CFG_TYPE.window);
    this.#pci = pci;
    this.#at = capability?.at ?? bench.fail('the function has no window in configuration space');
  }

  open(bar: number, offset: number, length: number): void {
    this.#pci.writeConfig(this.#at + BAR, 1, bar);
    this.#pci.writeConfig(this.#at + OFFSET, 4, offset);
    this.#pci.writeConfig(this.#at + LENGTH, 4, length);
  }

  get data(): number {
    return this.#pci.readConfig(this.#at + DATA, 4);
  }

  /** What the first bytes of its data are, from bytes that are read one by one. */
  field(offset: number, width: AccessWidth): number {
    return this.#pci.readConfig(this.#at + offset, width);
  }

  read(pci: PciBench, type: number, offset: number, width: AccessWidth): number {
    const { capability } = pci.structure(type);
    this.open(capability.bar, capability.offset + offset, width);
    return this.#pci.readConfig(this.#at + DATA, width);
  }

  write(pci: PciBench, type: number, offset: number, width: AccessWidth, value: number): void {
    const { capability } = pci.structure(type);
    this.open(capability.bar, capability.offset + offset, width);
    this.#pci.writeConfig(this.#at + DATA, width, value);
  }

  poke(value: number): void {
    this.#pci.writeConfig(this.#at + DATA, 4, value);
  }
}

/** Registers that are read over the window, one of each width. */
const READ = [COMMON.deviceFeature, COMMON.numQueues, COMMON.status] as const;
/** Registers that are written over the window, each with a value that its own register then has. */
const WRITTEN: readonly (readonly [CommonRegister, number])[] = [
  [COMMON.deviceFeatureSelect, 1],
  [COMMON.queueSelect, 0],
  [COMMON.status, 1],
];
/** Fields that the driver writes, each with its width and what a case writes to it. */
const KEPT: readonly (readonly [name: string, at: number, width: AccessWidth, values: readonly number[]])[] = [
  ['bar', BAR, 1, [1, 2]],
  ['offset', OFFSET, 4, [0x20, 0x10]],
  ['length', LENGTH, 4, [1, 2]],
];
const WIDTHS: readonly AccessWidth[] = [1, 2, 4];

/** What a driver may not write to the window. */
const HOSTILE: readonly (readonly [id: string, bar: number, offset: number, length: number])[] = [
  ['bar-without-registers', 3, 0, 4],
  ['bar-6', 6, 0, 4],
  ['bar-255', 255, 0, 4],
  ['behind-the-bar', -1, 0x7fff_0000, 4],
  ['last-offset', -1, 0xffff_fffc, 4],
  ['misaligned-by-1', -1, 1, 2],
  ['misaligned-by-2', -1, 2, 4],
  ['length-0', -1, 0, 0],
  ['length-3', -1, 0, 3],
  ['length-8', -1, 0, 8],
  ['length-of-4-gib', -1, 0, 0xffff_ffff],
];

function hostileCase([id, bar, offset, length]: (typeof HOSTILE)[number], what: 'read' | 'write'): PciCase {
  return {
    id: `pci/window/${what}-${id}`,
    clause: '4.1.4.9.2',
    level: 'MUST',
    title: `survives a ${what} of its window with ${id.replaceAll('-', ' ')}`,
    isHostile: true,
    run: async (bench, pci) => {
      await bench.start();
      const window = new Window(bench, pci);
      const { capability } = pci.structure(CFG_TYPE.common);
      window.open(bar < 0 ? capability.bar : bar, bar < 0 ? capability.offset + offset : offset, length);
      if (what === 'read') void window.data;
      else window.poke(0xffff_ffff);
      await bench.settle();
    },
  };
}

/** The PCI configuration access capability (section 4.1.4.9). */
export const PCI_WINDOW_CASES: readonly PciCase[] = [
  ...KEPT.map(([name, at, width, values]): PciCase => ({
    id: `pci/window/keeps-${name}`,
    clause: '4.1.4.9',
    level: 'MUST',
    title: `keeps what the driver writes to ${name} of its window`,
    run: (bench, pci) => {
      const window = new Window(bench, pci);
      for (const [i, value] of values.entries()) {
        window.open(1 + i, 0x20 - 0x10 * i, 1 + i);
        bench.equal(`${name} of the window`, window.field(at, width), value);
      }
    },
  })),
  ...READ.map((register): PciCase => ({
    id: `pci/window/reads-${8 * register.width}-bits`,
    clause: CLAUSE,
    level: 'MUST',
    title: `reads ${register.name} over its window as its register has it`,
    run: async (bench, pci) => {
      await bench.start();
      pci.write(COMMON.deviceFeatureSelect, 0);
      const seen = new Window(bench, pci).read(pci, CFG_TYPE.common, register.offset, register.width) >>> 0;
      bench.equal(`${register.name} over the window`, seen, pci.read(register));
    },
  })),
  ...WRITTEN.map(([register, value]): PciCase => ({
    id: `pci/window/writes-${8 * register.width}-bits`,
    clause: CLAUSE,
    level: 'MUST',
    title: `writes ${register.name} where the driver writes to its window`,
    run: async (bench, pci) => {
      await bench.reset();
      if (register === COMMON.queueSelect) pci.write(register, pci.read(COMMON.numQueues) - 1);
      new Window(bench, pci).write(pci, CFG_TYPE.common, register.offset, register.width, value);
      bench.equal(register.name, pci.read(register), value);
    },
  })),
  ...WIDTHS.map((width): PciCase => ({
    id: `pci/window/reads-configuration-by-${8 * width}`,
    clause: CLAUSE,
    level: 'MUST',
    title: `reads the device configuration over its window by ${8 * width} bits as its registers have it`,
    run: async (bench, pci) => {
      await bench.start();
      if (!pci.capabilities.some(({ type }) => type === CFG_TYPE.device)) bench.skip('the device has no configuration');
      const window = new Window(bench, pci);
      const device = pci.structure(CFG_TYPE.device);
      for (let offset = 0; offset + width <= Math.min(24, device.capability.bytes); offset += width)
        bench.equal(
          `byte ${offset} of the configuration, by ${8 * width} bits,`,
          window.read(pci, CFG_TYPE.device, offset, width) >>> 0,
          device.read(offset, width) >>> 0,
        );
    },
  })),
  ...pciCases({ clause: CLAUSE }, [
    {
      id: 'pci/window/reads-behind-written-width',
      title: 'reads the register again at each read of its window',
      run: async (bench, pci) => {
        await bench.reset();
        const window = new Window(bench, pci);
        for (const value of [1, 3]) {
          pci.write(COMMON.status, value);
          bench.equal(
            'device_status over the window',
            window.read(pci, CFG_TYPE.common, COMMON.status.offset, 1),
            value,
          );
        }
      },
    },
    {
      id: 'pci/window/reads-isr',
      title: 'clears the interrupt status where it is read over the window',
      run: async (bench, pci) => {
        bench.receiveBy(UNTAKEN);
        await bench.start();
        pci.useInterruptLine();
        pci.takeIsr();
        await bench.serve(bench.layOut(0));
        const window = new Window(bench, pci);
        let isr = 0;
        await bench.until('set the interrupt status', () => (isr = window.read(pci, CFG_TYPE.isr, 0, 1)) !== 0);
        bench.equal('the interrupt status over the window', isr & 1, 1);
        bench.equal('the interrupt status afterwards', pci.takeIsr(), 0);
      },
    },
    {
      id: 'pci/window/notifies',
      title: 'takes a notification over its window',
      layouts: BOTH_LAYOUTS,
      run: async (bench, pci) => {
        const ring = await bench.start();
        const window = new Window(bench, pci);
        for (let n = 0; n < 4; n++) {
          const laid = bench.layOut(n);
          ring.add(laid.segments);
          ring.publish();
          window.write(pci, CFG_TYPE.notify, pci.notifyOffset(ring.index), 2, ring.index);
          await bench.takeBack(laid, ring);
        }
      },
    },
    {
      id: 'pci/window/notifies-with-data',
      title: 'takes a notification with data over its window',
      needs: [
        ({ acceptable }) =>
          acceptable.has(VIRTIO_F_NOTIFICATION_DATA) ? undefined : 'the device does not offer NOTIFICATION_DATA',
      ],
      run: async (bench, pci) => {
        const ring = await bench.start({ with: [VIRTIO_F_NOTIFICATION_DATA] });
        const laid = bench.layOut(0);
        ring.add(laid.segments);
        ring.publish();
        const value = ((ring.nextAvailable << 16) | ring.index) >>> 0;
        new Window(bench, pci).write(pci, CFG_TYPE.notify, pci.notifyOffset(ring.index), 4, value);
        await bench.takeBack(laid, ring);
      },
    },
    {
      id: 'pci/window/writes-when-written',
      title: 'writes nothing where bar, offset and length of its window are written only',
      run: async (bench, pci) => {
        await bench.start();
        const window = new Window(bench, pci);
        const { capability } = pci.structure(CFG_TYPE.common);
        const before = pci.read(COMMON.status);
        window.open(capability.bar, capability.offset + COMMON.status.offset, 1);
        bench.equal('device_status', pci.read(COMMON.status), before);
      },
    },
  ]),
  ...HOSTILE.flatMap((hostile) => [hostileCase(hostile, 'read'), hostileCase(hostile, 'write')]),
];
