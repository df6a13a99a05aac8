import { returnsNothing } from '@virtio-platform/core';
import { DeviceStatus } from '@virtio-platform/core/device';
import { listCapabilities, PCI_BASE_ADDRESS_0, PCI_COMMAND } from '@virtio-platform/pci';
import { COMMON, NO_VECTOR } from '../../pci/common-registers.ts';
import { UNTAKEN } from '../../pci/interrupt-mode.ts';
import type { PciBench } from '../../pci/pci-bench.ts';
import { pciCase, type PciCase, startedPciCases } from '../../pci/pci-case.ts';
import { notOver } from '../needs.ts';

/** A program that accesses registers then is ended by a signal (vfio_pci_mmap_fault). */
const HAS_MEMORY = [notOver('vfio', 'the kernel takes the registers away while the memory space is disabled')];
const IO = 1;
const MEMORY = 2;
const MASTER = 4;
/** The express capability, its bit for a reset of the function, and the one that starts it. */
const EXPRESS = 0x10;
const CAN_RESET = 0x1000_0000;
const INITIATE = 0x8000;
/** How long a function may take over its reset (PCI Express 5.0 section 6.6.2). */
const FUNCTION_RESET_MS = 100;

function command({ pci }: PciBench, clear: number): void {
  pci.writeConfig(PCI_COMMAND, 2, pci.readConfig(PCI_COMMAND, 2) & ~clear);
}

function restore({ pci }: PciBench, set: number): void {
  pci.writeConfig(PCI_COMMAND, 2, pci.readConfig(PCI_COMMAND, 2) | set);
}

/** A reset of the function as a kernel does it: its header is written again afterwards. */
function resetFunction({ pci }: PciBench, at: number): void {
  const header = Array.from({ length: 6 }, (_, bar) => pci.readConfig(PCI_BASE_ADDRESS_0 + 4 * bar, 4));
  const before = pci.readConfig(PCI_COMMAND, 2);
  pci.writeConfig(at + 8, 2, pci.readConfig(at + 8, 2) | INITIATE);
  const until = performance.now() + FUNCTION_RESET_MS;
  while (performance.now() < until && pci.readConfig(0, 2) === 0xffff);
  header.forEach((value, bar) => pci.writeConfig(PCI_BASE_ADDRESS_0 + 4 * bar, 4, value));
  pci.writeConfig(PCI_COMMAND, 2, before);
}

function functionReset(id: string, title: string, check: PciCase['run']): PciCase {
  return {
    id: `pci/function-reset/${id}`,
    clause: '4.1',
    level: 'MUST',
    title,
    run: async (bench, pci) => {
      const express = listCapabilities(pci.pci).find((capability) => capability.id === EXPRESS);
      const canReset = express !== undefined && (pci.pci.readConfig(express.offset + 4, 4) & CAN_RESET) !== 0;
      if (!canReset) bench.skip('the function cannot be reset by itself');
      bench.receiveBy(UNTAKEN);
      await bench.start();
      await bench.serve(bench.layOut(0));
      if (pci.msix !== undefined) pci.writeOf(bench.ring().index, COMMON.queueVector, 0);
      resetFunction(pci, express!.offset);
      await check(bench, pci);
    },
  };
}

/** The command register, and resets of the function (PCI local bus 3.0 section 6.2.2, PCI Express 5.0 6.6.2). */
export const PCI_COMMAND_CASES: readonly PciCase[] = [
  ...(['split', 'packed'] as const).map((layout): PciCase => ({
    id: `pci/command/no-master-no-access-${layout}`,
    clause: '4.1',
    level: 'MUST',
    title: `accesses no memory while it is no bus master, with a ${layout} ring`,
    layouts: [layout],
    isHostile: true,
    run: async (bench, pci) => {
      const ring = await bench.start();
      await bench.serve(bench.layOut(0));
      command(pci, MASTER);
      ring.give(bench.layOut(1).segments);
      await returnsNothing(bench, ring, 'it returned a buffer, and was no bus master');
    },
  })),
  pciCase({
    id: 'pci/command/no-master-no-message',
    clause: '4.1',
    title: 'sends no message while it is no bus master',
    isHostile: true,
    run: async (bench, pci) => {
      bench.receiveBy(UNTAKEN);
      const msix = pci.messageVectors();
      await bench.start();
      const word = bench.allocate('a message', 4, 64);
      word.write(new Uint8Array(4));
      msix.send(0, word.low, word.high, 1);
      msix.enable(true);
      pci.writeOf(bench.ring().index, COMMON.queueVector, 0);
      command(pci, MASTER);
      bench.ring().give(bench.layOut(0).segments);
      await bench.settle();
      bench.equal('the word of the message', word.read()[0]!, 0);
    },
  }),
  ...startedPciCases({ clause: '4.1' }, [
    {
      id: 'pci/command/master-again',
      title: 'serves after a reset once it is bus master again',
      run: async (bench, pci) => {
        command(pci, MASTER);
        restore(pci, MASTER);
        await bench.start();
        await bench.serve(bench.layOut(0));
      },
    },
    {
      id: 'pci/command/no-master-while-busy',
      title: 'survives that it is no bus master any more with requests in flight',
      isHostile: true,
      run: async (bench, pci, ring) => {
        for (let n = 0; n < 4; n++) ring.give(bench.layOut(n).segments);
        command(pci, MASTER);
        await bench.settle();
        restore(pci, MASTER);
      },
    },
    {
      id: 'pci/command/no-memory-no-registers',
      title: 'takes no access of its registers while its memory space is disabled',
      needs: HAS_MEMORY,
      run: (bench, pci) => {
        if (pci.structure(1).bar.kind !== 'memory') bench.skip('its registers are in I/O space');
        const before = pci.read(COMMON.status);
        command(pci, MEMORY);
        pci.write(COMMON.status, 0);
        restore(pci, MEMORY);
        bench.equal('device_status', pci.read(COMMON.status), before);
      },
    },
    {
      id: 'pci/command/no-memory-reads',
      title: 'answers no read of its registers while its memory space is disabled',
      needs: HAS_MEMORY,
      run: (bench, pci) => {
        if (pci.structure(1).bar.kind !== 'memory') bench.skip('its registers are in I/O space');
        command(pci, MEMORY);
        const seen = pci.read(COMMON.status);
        restore(pci, MEMORY);
        bench.check(seen === 0xff || seen === 0, `device_status reads 0x${seen.toString(16)}`);
      },
    },
    {
      id: 'pci/command/no-memory-keeps',
      title: 'keeps its state while its memory space is disabled, and serves afterwards',
      run: async (bench, pci) => {
        command(pci, MEMORY);
        restore(pci, MEMORY);
        await bench.serve(bench.layOut(0));
      },
    },
    {
      id: 'pci/command/no-io',
      title: 'serves while its I/O space is disabled',
      run: async (bench, pci) => {
        if (pci.structure(2).bar.kind !== 'memory') bench.skip('its notification registers are in I/O space');
        command(pci, IO);
        await bench.serve(bench.layOut(0));
      },
    },
  ]),
  functionReset('status', 'has a status of 0 after a reset of its function', (bench, pci) =>
    bench.equal('device_status', pci.read(COMMON.status), 0),
  ),
  functionReset('queues', 'has no queue enabled after a reset of its function', (bench, pci) => {
    for (let queue = 0; queue < bench.device.queueCount; queue++)
      bench.equal(`queue_enable of queue ${queue}`, pci.readOf(queue, COMMON.queueEnable), 0);
  }),
  functionReset('vectors', 'has no vector mapped after a reset of its function', (bench, pci) => {
    bench.equal('config_msix_vector', pci.read(COMMON.configVector), NO_VECTOR);
    bench.equal('queue_msix_vector', pci.readOf(0, COMMON.queueVector), NO_VECTOR);
  }),
  functionReset('msix', 'has MSI-X disabled after a reset of its function, with each vector masked', (bench, pci) => {
    const msix = pci.requireMsix();
    bench.equal('the control bits', msix.control & 0xc000, 0);
    for (let vector = 0; vector < msix.size; vector++)
      bench.equal(`the mask of vector ${vector}`, msix.read(vector, 3) & 1, 1);
  }),
  functionReset('serves', 'serves after a reset of its function', async (bench, pci) => {
    bench.check((pci.read(COMMON.status) & DeviceStatus.DriverOk) === 0, 'DRIVER_OK is set');
    await bench.start();
    await bench.serve(bench.layOut(0));
  }),
];
