import { BOTH_LAYOUTS, type ConformBench, type ConformRing } from '@virtio-platform/core';
import { DeviceStatus } from '@virtio-platform/core/device';
import { PCI_COMMAND, PCI_COMMAND_INTX_DISABLE } from '@virtio-platform/pci';
import { COMMON } from '../../pci/common-registers.ts';
import { MessageMemory, UNTAKEN } from '../../pci/interrupt-mode.ts';
import type { PciBench } from '../../pci/pci-bench.ts';
import type { PciCase } from '../../pci/pci-case.ts';
import { CFG_TYPE } from '../../pci/virtio-capability.ts';

const CLAUSE = '4.1.4.5.1';
const QUEUE = 1;
const CONFIGURATION = 2;

/** Starts the device with its interrupt line, and nothing pending. */
async function startOnLine(bench: ConformBench, pci: PciBench): Promise<ConformRing> {
  if (bench.device.machine === 'vfio') bench.skip('the kernel has the function interrupt by messages');
  bench.receiveBy(UNTAKEN);
  const ring = await bench.start();
  pci.useInterruptLine();
  await bench.settle();
  pci.takeIsr();
  return ring;
}

/** Serves a request, and waits for the interrupt status without reading it. */
async function serveAndInterrupt(bench: ConformBench, pci: PciBench, n = 0): Promise<void> {
  await bench.serve(bench.layOut(n));
  await bench.until('assert its interrupt line', () => pci.isInterrupting);
}

/** Has the device fail, by a chain that it cannot have. Skips the case where it does not ask for a reset. */
async function failRing(bench: ConformBench, ring: ConformRing): Promise<void> {
  ring.pushHead(ring.size);
  ring.publish();
  ring.kick();
  await bench.settle();
  if (!bench.asksForReset())
    bench.skip('the device asks for no reset of a driver that gives it a head of no descriptor');
}

function oneCase(id: string, title: string, run: PciCase['run'], rest: Partial<PciCase> = {}): PciCase {
  return { id: `pci/isr/${id}`, clause: CLAUSE, level: 'MUST', title, run, ...rest };
}

const ON_BOTH = { layouts: BOTH_LAYOUTS };

/** The interrupt status and the interrupt line (section 4.1.4.5). */
export const PCI_ISR_CASES: readonly PciCase[] = [
  oneCase(
    'queue-bit',
    'sets the bit for queues in the interrupt status before it notifies of a used buffer',
    async (bench, pci) => {
      await startOnLine(bench, pci);
      for (let n = 0; n < 4; n++) {
        await serveAndInterrupt(bench, pci, n);
        bench.equal('the interrupt status', pci.takeIsr() & QUEUE, QUEUE);
      }
    },
    ON_BOTH,
  ),
  oneCase('cleared-by-read', 'has an interrupt status of 0 once the driver has read it', async (bench, pci) => {
    await startOnLine(bench, pci);
    await serveAndInterrupt(bench, pci);
    pci.takeIsr();
    bench.equal('the interrupt status, read again,', pci.takeIsr(), 0);
  }),
  oneCase('no-config-bit', 'sets no bit for the configuration where none changed', async (bench, pci) => {
    await startOnLine(bench, pci);
    await serveAndInterrupt(bench, pci);
    bench.equal('the interrupt status', pci.takeIsr() & ~QUEUE, 0);
  }),
  oneCase(
    'line-asserted',
    'says in its PCI status that it interrupts, as long as the interrupt status is set',
    async (bench, pci) => {
      await startOnLine(bench, pci);
      bench.check(!pci.isInterrupting, 'it says that it interrupts, and its interrupt status was read');
      await serveAndInterrupt(bench, pci);
      bench.check(pci.isInterrupting, 'it says so no more, and its interrupt status was not read');
    },
  ),
  oneCase(
    'line-deasserted',
    'says in its PCI status that it interrupts no more once the interrupt status was read',
    async (bench, pci) => {
      await startOnLine(bench, pci);
      for (let n = 0; n < 3; n++) {
        await serveAndInterrupt(bench, pci, n);
        pci.takeIsr();
        bench.check(!pci.isInterrupting, 'it still interrupts');
      }
    },
  ),
  oneCase('line-masked', 'sets the interrupt status also while its interrupt line is disabled', async (bench, pci) => {
    await startOnLine(bench, pci);
    pci.pci.writeConfig(PCI_COMMAND, 2, pci.pci.readConfig(PCI_COMMAND, 2) | PCI_COMMAND_INTX_DISABLE);
    await bench.serve(bench.layOut(0));
    let isr = 0;
    await bench.until('set the interrupt status', () => (isr = pci.takeIsr()) !== 0);
    bench.equal('the interrupt status', isr, QUEUE);
  }),
  oneCase('written', 'keeps its interrupt status where a driver writes to it', async (bench, pci) => {
    await startOnLine(bench, pci);
    await serveAndInterrupt(bench, pci);
    pci.structure(CFG_TYPE.isr).write(0, 1, 0);
    bench.equal('the interrupt status', pci.takeIsr(), QUEUE);
  }),
  oneCase('set-by-write', 'sets no bit of its interrupt status where a driver writes to it', async (bench, pci) => {
    await startOnLine(bench, pci);
    pci.structure(CFG_TYPE.isr).write(0, 1, 3);
    bench.equal('the interrupt status', pci.takeIsr(), 0);
  }),
  oneCase(
    'clear-after-reset',
    'has an interrupt status of 0 after a reset',
    async (bench, pci) => {
      await startOnLine(bench, pci);
      await serveAndInterrupt(bench, pci);
      pci.write(COMMON.status, 0);
      await bench.until('confirm a reset', () => pci.read(COMMON.status) === 0);
      bench.equal('the interrupt status after a reset', pci.takeIsr(), 0);
    },
    { clause: '2.4.1' },
  ),
  oneCase(
    'line-after-reset',
    'does not interrupt after a reset',
    async (bench, pci) => {
      await startOnLine(bench, pci);
      await serveAndInterrupt(bench, pci);
      pci.write(COMMON.status, 0);
      await bench.until('confirm a reset', () => pci.read(COMMON.status) === 0);
      bench.check(!pci.isInterrupting, 'its PCI status says that it interrupts');
    },
    { clause: '2.4.1' },
  ),
  oneCase(
    'idle',
    'does not interrupt where nothing happens',
    async (bench, pci) => {
      await startOnLine(bench, pci);
      await bench.settle();
      bench.equal('the interrupt status', pci.takeIsr(), 0);
    },
    { level: 'SHOULD' },
  ),
  oneCase(
    'each-request',
    'interrupts for each of 40 requests whose driver reads the interrupt status first',
    async (bench, pci) => {
      const ring = await startOnLine(bench, pci);
      for (let n = 0; n < 40; n++) {
        const laid = bench.layOut(n % 4);
        ring.give(laid.segments);
        while (ring.outstanding > 0) {
          await bench.until(`interrupt for request ${n}`, () => (pci.takeIsr() & QUEUE) !== 0);
          while (ring.take() !== undefined);
        }
      }
    },
    ON_BOTH,
  ),
  oneCase(
    'unused-with-msix',
    'says in its PCI status that it does not interrupt where MSI-X is enabled',
    async (bench, pci) => {
      bench.receiveBy(UNTAKEN);
      const msix = pci.messageVectors();
      await bench.start();
      const memory = new MessageMemory(bench, msix);
      pci.writeOf(bench.ring().index, COMMON.queueVector, 0);
      await bench.serve(bench.layOut(0));
      await bench.until('send a message', () => memory.takeAll().length > 0);
      bench.check(!pci.isInterrupting, 'it says that it interrupts');
    },
  ),
  oneCase(
    'config-bit-of-failure',
    'sets the bit for the configuration where it asks for a reset',
    async (bench, pci) => {
      const ring = await startOnLine(bench, pci);
      await failRing(bench, ring);
      bench.equal('the bit', pci.takeIsr() & CONFIGURATION, CONFIGURATION);
    },
    { isHostile: true },
  ),
  oneCase(
    'line-of-failure',
    'interrupts where it asks for a reset after DRIVER_OK',
    async (bench, pci) => {
      const ring = await startOnLine(bench, pci);
      await failRing(bench, ring);
      bench.check(pci.isInterrupting, 'its PCI status says that it does not');
    },
    { isHostile: true, clause: '2.1.2' },
  ),
  oneCase(
    'failure-before-driver-ok',
    'does not interrupt where it asks for a reset before DRIVER_OK',
    async (bench, pci) => {
      bench.receiveBy(UNTAKEN);
      const ring = await bench.start({ isHeld: true });
      pci.useInterruptLine();
      pci.takeIsr();
      ring.pushHead(ring.size);
      ring.publish();
      ring.kick();
      await bench.settle();
      const isHeld = (pci.read(COMMON.status) & DeviceStatus.DriverOk) === 0;
      if (isHeld) bench.equal('the interrupt status', pci.takeIsr() & CONFIGURATION, 0);
    },
    { isHostile: true, clause: '2.1.2' },
  ),
];

/** See above; for cases of MSI-X. */
export { failRing };
