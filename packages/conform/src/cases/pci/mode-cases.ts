import { BOTH_LAYOUTS, type ConformCase } from '@virtio-platform/core';
import { startDevice } from '@virtio-platform/core/device';
import { INTERRUPT_WAYS, interruptsBy, type InterruptWay } from '../../pci/interrupt-mode.ts';
import type { PciCase } from '../../pci/pci-case.ts';
import { QUEUE_CASES } from '../queue-cases.ts';
import { RESET_CASES } from '../reset-cases.ts';
import { NOTIFICATION_CASES } from '../ring/notification-cases.ts';
import { STATUS_CASES } from '../status-cases.ts';

/** Each way in words. */
const WORDS: Readonly<Record<InterruptWay, string>> = {
  intx: 'by its interrupt line',
  msix: 'with a vector for each queue',
  'msix-shared': 'with one vector for everything',
};

/** The common cases whose verdict depends on the notifications of the device. */
const NOTIFIED: ReadonlySet<string> = new Set([
  'notify/wanted',
  'notify/suppressed',
  'notify/wanted-again',
  'notify/used-event-ignored',
  'notify/flags-ignored-with-event-idx',
  'notify/event',
  'notify/event-in-batch',
  'notify/event-not-reached',
  'queues/notified-of-each',
  'queues/events-apart',
  'status/idle-before-driver-ok',
  'reset/touches-nothing',
  'queue-reset/touches-nothing',
  'suspend/touches-nothing',
]);

function inWay(way: InterruptWay, conformCase: ConformCase): PciCase {
  return {
    ...conformCase,
    id: `pci/by-${way}/${conformCase.id}`,
    title: `${conformCase.title}, ${WORDS[way]}`,
    run: async (bench, pci) => {
      bench.receiveBy(interruptsBy(way, bench, pci));
      await conformCase.run(bench);
    },
  };
}

/** What a driver does that looks for used buffers only where it was notified: a lost notification hangs it. */
function drivenCases(way: InterruptWay): readonly PciCase[] {
  const one = (id: string, title: string, run: PciCase['run']): PciCase => ({
    id: `pci/by-${way}/${id}`,
    clause: '4.1.5.3',
    level: 'MUST',
    title: `${title}, ${WORDS[way]}`,
    layouts: BOTH_LAYOUTS,
    run: async (bench, pci) => {
      bench.receiveBy(interruptsBy(way, bench, pci));
      await run(bench, pci);
    },
  });
  return [
    one('driven/one-by-one', 'notifies of each of 60 requests of a driver that waits for it', async (bench) => {
      const ring = await bench.start();
      for (let n = 0; n < 60; n++) {
        const laid = bench.layOut(n % 8);
        ring.give(laid.segments);
        while (ring.outstanding > 0) {
          bench.check(await bench.notified(), `no notification of request ${n}`);
          for (let used = ring.take(); used !== undefined; used = ring.take())
            bench.equal('what is wrong', laid.check({ ...used, length: used.length }) ?? 'nothing', 'nothing');
        }
      }
    }),
    one('driven/batches', 'notifies of batches of a driver that takes all it finds and waits again', async (bench) => {
      const ring = await bench.start({ size: 32 });
      for (let round = 0; round < 10; round++) {
        for (let n = 0; n < 6; n++) ring.add(bench.layOut(n).segments);
        ring.publish();
        ring.kick();
        while (ring.outstanding > 0) {
          bench.check(await bench.notified(), `no notification of a batch, of which ${ring.outstanding} are left`);
          while (ring.take() !== undefined);
        }
      }
    }),
    one('driven/after-restart', 'notifies again after each of five resets', async (bench) => {
      for (let n = 0; n < 5; n++) {
        const ring = await bench.start();
        ring.give(bench.layOut(n).segments);
        while (ring.outstanding > 0) {
          bench.check(await bench.notified(), `no notification after reset ${n}`);
          while (ring.take() !== undefined);
        }
      }
    }),
    one('driven/largest-ring', 'notifies on the largest ring that it takes', async (bench) => {
      const ring = await bench.start({ size: 0x8000 });
      for (let n = 0; n < 20; n++) {
        ring.give(bench.layOut(n % 8).segments);
        while (ring.outstanding > 0) {
          bench.check(await bench.notified(), `no notification of request ${n}`);
          while (ring.take() !== undefined);
        }
      }
    }),
    one('driven/early-buffers', 'notifies of buffers that were there before DRIVER_OK', async (bench) => {
      for (let n = 0; n < 4; n++) {
        const ring = await bench.start({ isHeld: true });
        ring.add(bench.layOut(n).segments);
        ring.publish();
        bench.drain();
        // The bench would drain what comes at once.
        startDevice(bench.transport);
        ring.kick();
        while (ring.outstanding > 0) {
          bench.check(await bench.notified(), 'no notification of a buffer that was there first');
          while (ring.take() !== undefined);
        }
      }
    }),
  ];
}

/** The cases that need notifications, in each way in which a function interrupts. */
export const PCI_MODE_CASES: readonly PciCase[] = INTERRUPT_WAYS.flatMap((way) => [
  ...[...NOTIFICATION_CASES, ...QUEUE_CASES, ...STATUS_CASES, ...RESET_CASES]
    .filter(({ id }) => NOTIFIED.has(id))
    .map((conformCase) => inWay(way, conformCase)),
  ...drivenCases(way),
]);
