import { BOTH_LAYOUTS, type ConformBench, returnsNothing } from '@virtio-platform/core';
import type { AccessWidth } from '@virtio-platform/core/device';
import { VIRTIO_F_NOTIF_CONFIG_DATA, VIRTIO_F_NOTIFICATION_DATA } from '@virtio-platform/core/features';
import { COMMON } from '../../pci/common-registers.ts';
import { pciCase, type PciCase, startedPciCase, startedPciCases } from '../../pci/pci-case.ts';
import { CFG_TYPE } from '../../pci/virtio-capability.ts';
import { offers } from '../needs.ts';

const CLAUSE = '4.1.5.2';

/** The queues of a device that serve requests, at most 8. */
async function servingQueues(bench: ConformBench): Promise<readonly number[]> {
  await bench.start();
  const serving = Array.from({ length: bench.device.queueCount }, (_, queue) => queue).filter(
    (queue) => bench.device.maxQueueSize(queue) > 0 && bench.requestOn(queue, 0) !== undefined,
  );
  const queues = [...new Set([...bench.enabled, ...serving.slice(0, 8)])];
  await bench.start({ queues });
  return serving.filter((queue) => queues.includes(queue));
}

/** A notification that a driver may not send. */
function hostile(id: string, title: string, send: PciCase['run']): PciCase {
  return {
    id: `pci/notify/${id}`,
    clause: `${CLAUSE}.1`,
    level: 'MUST',
    title,
    isHostile: true,
    run: async (bench, pci) => {
      await bench.start();
      await send(bench, pci);
      await bench.settle();
    },
  };
}

const WRONG_WIDTHS: readonly AccessWidth[] = [1, 4];

/** Notifications by hand (sections 4.1.4.4 and 4.1.5.2). */
export const PCI_NOTIFY_CASES: readonly PciCase[] = [
  pciCase({
    id: 'pci/notify/each-queue',
    clause: CLAUSE,
    title: 'takes the notification of each queue at the register of the queue',
    layouts: BOTH_LAYOUTS,
    run: async (bench, pci) => {
      for (const queue of await servingQueues(bench)) {
        const ring = bench.ring(queue);
        const laid = bench.layOutRequest(bench.requestOn(queue, 0)!);
        ring.add(laid.segments);
        ring.publish();
        pci.notify(queue);
        await bench.takeBack(laid, ring);
      }
    },
  }),
  pciCase({
    id: 'pci/notify/offsets-of-all',
    clause: '4.1.4.3',
    title: 'keeps queue_notify_off of each queue over FEATURES_OK and DRIVER_OK',
    run: async (bench, pci) => {
      const offsets = (): string =>
        Array.from({ length: bench.device.queueCount }, (_, queue) => pci.readOf(queue, COMMON.queueNotifyOff)).join();
      await bench.reset();
      const before = offsets();
      await bench.start();
      bench.equal('queue_notify_off of its queues', offsets(), before);
    },
  }),
  ...startedPciCases({ clause: CLAUSE }, [
    {
      id: 'pci/notify/after-queue-select',
      title: 'goes by the notification, not by the queue that is selected',
      run: async (bench, pci, ring) => {
        for (let n = 0; n < 4; n++) {
          const laid = bench.layOut(n);
          ring.add(laid.segments);
          ring.publish();
          const at = pci.notifyOffset(ring.index);
          pci.write(COMMON.queueSelect, pci.read(COMMON.numQueues) - (n % 2));
          pci.structure(CFG_TYPE.notify).write(at, 2, ring.index);
          await bench.takeBack(laid, ring);
        }
      },
    },
    {
      id: 'pci/notify/data-of-32-bits',
      title: 'takes notifications of 32 bits with NOTIFICATION_DATA',
      layouts: BOTH_LAYOUTS,
      needs: [offers(VIRTIO_F_NOTIFICATION_DATA)],
      start: { with: [VIRTIO_F_NOTIFICATION_DATA] },
      run: async (bench, pci, ring) => {
        for (let n = 0; n < 20; n++) {
          const laid = bench.layOut(n % 4);
          ring.add(laid.segments);
          ring.publish();
          const value = ((ring.nextAvailable << 16) | ring.index) >>> 0;
          pci.structure(CFG_TYPE.notify).write(pci.notifyOffset(ring.index), 4, value);
          await bench.takeBack(laid, ring);
        }
      },
    },
    {
      id: 'pci/notify/config-data',
      title: 'takes what queue_notif_config_data says as the value of a notification, with NOTIF_CONFIG_DATA',
      needs: [offers(VIRTIO_F_NOTIF_CONFIG_DATA)],
      start: { with: [VIRTIO_F_NOTIF_CONFIG_DATA] },
      run: async (bench, pci, ring) => {
        const laid = bench.layOut(0);
        ring.add(laid.segments);
        ring.publish();
        const value = pci.readOf(ring.index, COMMON.notifyData);
        pci.structure(CFG_TYPE.notify).write(pci.notifyOffset(ring.index), 2, value);
        await bench.takeBack(laid, ring);
      },
    },
  ]),
  startedPciCase({
    id: 'pci/notify/before-driver-ok',
    clause: '2.1.2',
    title: 'takes no buffer that is notified of before DRIVER_OK',
    layouts: BOTH_LAYOUTS,
    isHostile: true,
    start: { isHeld: true },
    run: async (bench, pci, ring) => {
      ring.add(bench.layOut(0).segments);
      ring.publish();
      pci.notify(ring.index);
      await returnsNothing(bench, ring, 'it returned a buffer before DRIVER_OK');
    },
  }),
  startedPciCase({
    id: 'pci/notify/after-reset',
    clause: '2.4.1',
    title: 'takes no buffer that is notified of after a reset',
    layouts: BOTH_LAYOUTS,
    run: async (bench, pci, ring) => {
      const at = pci.notifyOffset(ring.index);
      await bench.reset();
      ring.add(bench.layOut(0).segments);
      ring.publish();
      pci.structure(CFG_TYPE.notify).write(at, 2, ring.index);
      await returnsNothing(bench, ring, 'it returned a buffer after a reset');
    },
  }),
  startedPciCase({
    id: 'pci/notify/read',
    clause: CLAUSE,
    title: 'serves after its notification registers were read',
    run: async (bench, pci) => {
      const notify = pci.structure(CFG_TYPE.notify);
      for (const width of [1, 2, 4] as const) notify.read(0, width);
      await bench.serve(bench.layOut(0));
    },
  }),
  ...WRONG_WIDTHS.map((width) =>
    hostile(`by-${8 * width}-bits`, `survives a notification of ${8 * width} bits`, (bench, pci) => {
      bench.ring().add(bench.layOut(0).segments);
      bench.ring().publish();
      pci.notify(bench.ring().index, bench.ring().index, width);
    }),
  ),
  hostile('value-of-another-queue', 'survives the number of another queue in the register of one', (_bench, pci) => {
    pci.notify(1, 0);
  }),
  hostile('value-of-no-queue', 'survives the number of no queue in a notification', (_bench, pci) => {
    pci.notify(pci.read(COMMON.numQueues), 0);
  }),
  hostile('value-0xffff', 'survives 0xffff in a notification', (_bench, pci) => pci.notify(0xffff, 0)),
  hostile('behind-all-queues', 'survives a notification behind the registers of all queues', (_bench, pci) => {
    const { bytes } = pci.structure(CFG_TYPE.notify).capability;
    pci.structure(CFG_TYPE.notify).write(bytes - 2, 2, 0);
  }),
  hostile('storm', 'survives 500 notifications with nothing new', (bench, pci) => {
    const at = pci.notifyOffset(0);
    for (let n = 0; n < 500; n++) pci.structure(CFG_TYPE.notify).write(at, 2, bench.ring().index);
  }),
];
