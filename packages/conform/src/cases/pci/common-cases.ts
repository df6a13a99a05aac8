import type { ConformBench } from '@virtio-platform/core';
import { DeviceStatus, greetDevice } from '@virtio-platform/core/device';
import { VIRTIO_F_RING_RESET, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { AREA_REGISTERS, COMMON, NO_VECTOR, type CommonRegister } from '../../pci/common-registers.ts';
import type { PciBench } from '../../pci/pci-bench.ts';
import { pciCase, type PciCase, startedPciCase } from '../../pci/pci-case.ts';
import { offers } from '../needs.ts';

const LAYOUT = '4.1.4.3';
const NORMS = '4.1.4.3.1';

/** Registers of a queue that a driver sets up, each with a value that is legal and is not that of a reset. */
const OF_QUEUE: readonly (readonly [CommonRegister, (pci: PciBench) => number])[] = [
  [COMMON.queueSize, (pci) => Math.max(1, pci.read(COMMON.queueSize) / 2)],
  [COMMON.queueVector, (pci) => (pci.msix === undefined ? NO_VECTOR : pci.msix.size - 1)],
  ...AREA_REGISTERS.map((register, i): readonly [CommonRegister, () => number] => [
    register,
    () => (i % 2 === 0 ? 0x1234_5000 + 0x1000 * i : i),
  ]),
];

/** Negotiates, and leaves the queues as they are. */
async function negotiated(bench: ConformBench): Promise<void> {
  await bench.start({ isHeld: true, queues: [bench.device.queueCount > 1 ? 1 : 0] });
}

function keepsOfQueue([register, valueOf]: (typeof OF_QUEUE)[number]): PciCase {
  return {
    id: `pci/keeps/${register.name}`,
    clause: LAYOUT,
    level: 'MUST',
    title: `has in ${register.name} what the driver wrote to it`,
    run: async (bench, pci) => {
      await negotiated(bench);
      pci.write(COMMON.queueSelect, 0);
      const value = valueOf(pci);
      pci.write(register, value);
      bench.equal(register.name, pci.readOf(0, register), value);
    },
  };
}

function apartByQueue([register, valueOf]: (typeof OF_QUEUE)[number]): PciCase {
  return {
    id: `pci/apart/${register.name}`,
    clause: LAYOUT,
    level: 'MUST',
    title: `has a ${register.name} of its own for each queue`,
    needs: [({ maxQueueSize }) => (maxQueueSize(1) > 0 ? undefined : 'it has one queue')],
    run: async (bench, pci) => {
      await bench.start({ isHeld: true });
      // The queues of the bench are enabled: those behind them are as they were reset.
      const spare = Array.from({ length: bench.device.queueCount }, (_, queue) => queue).filter(
        (queue) => !bench.enabled.includes(queue) && bench.device.maxQueueSize(queue) > 0,
      );
      const [one, other] = [spare[0] ?? 0, spare[1] ?? bench.enabled[0]!];
      if (one === other) bench.skip('all of its queues are enabled');
      const before = pci.readOf(other, register);
      pci.write(COMMON.queueSelect, one);
      const value = valueOf(pci);
      pci.write(register, value);
      bench.equal(`${register.name} of queue ${other}`, pci.readOf(other, register), before);
      bench.equal(`${register.name} of queue ${one}`, pci.readOf(one, register), value);
    },
  };
}

/** What registers have after a reset of a device that was at work. */
const AFTER_RESET: readonly (readonly [CommonRegister, clause: string, right: (largest: number) => number])[] = [
  [COMMON.configVector, '4.1.5.1.2.1', () => NO_VECTOR],
  [COMMON.queueVector, '4.1.5.1.2.1', () => NO_VECTOR],
  [COMMON.queueEnable, NORMS, () => 0],
  [COMMON.queueReset, NORMS, () => 0],
  [COMMON.queueSize, LAYOUT, (largest) => largest],
];

/** Selectors, and values that each register has to keep or to have again (section 4.1.4.3). */
export const PCI_COMMON_CASES: readonly PciCase[] = [
  ...[COMMON.deviceFeatureSelect, COMMON.driverFeatureSelect].map((register): PciCase => ({
    id: `pci/keeps/${register.name}`,
    clause: LAYOUT,
    level: 'MUST',
    title: `has in ${register.name} what the driver wrote to it`,
    run: async (bench, pci) => {
      await bench.reset();
      for (const value of [1, 0]) {
        pci.write(register, value);
        bench.equal(register.name, pci.read(register), value);
      }
    },
  })),
  pciCase({
    id: 'pci/keeps/queue_select',
    clause: LAYOUT,
    title: 'has in queue_select the queue that the driver selected',
    run: async (bench, pci) => {
      await bench.reset();
      for (let queue = 0; queue < Math.min(8, pci.read(COMMON.numQueues)); queue++) {
        pci.write(COMMON.queueSelect, queue);
        bench.equal('queue_select', pci.read(COMMON.queueSelect), queue);
      }
    },
  }),
  startedPciCase({
    id: 'pci/keeps/config_msix_vector',
    clause: '4.1.5.1.2.1',
    title: 'returns the vector that was mapped to changes of the configuration, and NO_VECTOR once it is unmapped',
    start: { isHeld: true },
    run: (bench, pci) => {
      for (const vector of [pci.requireMsix().size - 1, NO_VECTOR, 0]) {
        pci.write(COMMON.configVector, vector);
        bench.equal('config_msix_vector', pci.read(COMMON.configVector), vector);
      }
    },
  }),
  ...([0, 1] as const).map((word): PciCase => ({
    id: `pci/keeps/driver_feature-${word}`,
    clause: NORMS,
    level: 'MUST',
    title: `presents the valid bits of word ${word} that the driver wrote to driver_feature`,
    run: async (bench, pci) => {
      await bench.reset();
      greetDevice(bench.transport);
      const valid = featureWord(bench.device.acceptable.bits, word);
      if (valid === 0) bench.skip(`a driver can accept no feature of word ${word}`);
      const other = 1 - word;
      pci.write(COMMON.driverFeatureSelect, word);
      pci.write(COMMON.driverFeature, valid);
      pci.write(COMMON.driverFeatureSelect, other);
      pci.write(COMMON.driverFeature, 0);
      pci.write(COMMON.driverFeatureSelect, word);
      bench.equal(`valid bits of word ${word}`, (pci.read(COMMON.driverFeature) & valid) >>> 0, valid);
    },
  })),
  ...OF_QUEUE.map(keepsOfQueue),
  ...OF_QUEUE.map(apartByQueue),
  startedPciCase({
    id: 'pci/apart/queue_enable',
    clause: LAYOUT,
    title: 'has a 1 in queue_enable of the queues that were enabled, and a 0 in that of the others',
    run: (bench, pci) => {
      for (let queue = 0; queue < bench.device.queueCount; queue++)
        bench.equal(
          `queue_enable of queue ${queue}`,
          pci.readOf(queue, COMMON.queueEnable),
          bench.enabled.includes(queue) ? 1 : 0,
        );
    },
  }),
  ...AFTER_RESET.map(([register, clause, right]): PciCase => ({
    id: `pci/after-reset/${register.name}`,
    clause,
    level: 'MUST',
    title: `has in ${register.name} after a reset what is there at first`,
    needs: register === COMMON.queueReset ? [offers(VIRTIO_F_RING_RESET)] : [],
    run: async (bench, pci) => {
      await bench.reset();
      const largest = pci.readOf(0, COMMON.queueSize);
      await bench.start({ size: 8 });
      if (pci.msix !== undefined) {
        pci.write(COMMON.configVector, 0);
        pci.writeOf(0, COMMON.queueVector, 0);
      }
      await bench.serve(bench.layOut(0));
      await bench.reset();
      if (!pci.has(register)) bench.skip(`its common configuration has no ${register.name}`);
      bench.equal(register.name, pci.readOf(0, register), right(largest));
    },
  })),
  ...[0, 1, 0x100, 0x7fff, 0xffff].map((beyond, i): PciCase => ({
    id: `pci/no-queue/queue_size-${['first', 'second', 'far', '0x7fff', '0xffff'][i]}`,
    clause: NORMS,
    level: 'MUST',
    title: `has a 0 in queue_size of ${i < 3 ? `queue num_queues + ${beyond}` : `queue ${beyond}`}, which is none`,
    run: async (bench, pci) => {
      await bench.reset();
      pci.write(COMMON.queueSelect, 0);
      const queue = i < 3 ? pci.read(COMMON.numQueues) + beyond : beyond;
      if (queue < pci.read(COMMON.numQueues)) bench.skip('the device has that queue');
      bench.equal(`queue_size of queue ${queue}`, pci.readOf(queue, COMMON.queueSize), 0);
    },
  })),
  startedPciCase({
    id: 'pci/queue-size/power-of-2',
    clause: NORMS,
    title: 'has a power of 2 in queue_size of each queue where packed rings were not negotiated',
    start: { isHeld: true },
    run: (bench, pci) => {
      for (let queue = 0; queue < bench.device.queueCount; queue++) {
        const size = pci.readOf(queue, COMMON.queueSize);
        bench.check(size === 0 || Number.isInteger(Math.log2(size)), `queue_size of queue ${queue} is ${size}`);
      }
    },
  }),
  pciCase({
    id: 'pci/queue-size/at-most-32768',
    clause: '2.6',
    title: 'has at most 32768 in queue_size of each queue',
    run: async (bench, pci) => {
      await bench.reset();
      for (let queue = 0; queue < bench.device.queueCount; queue++)
        bench.check(pci.readOf(queue, COMMON.queueSize) <= 32_768, `queue ${queue} has more than 32768 entries`);
    },
  }),
  startedPciCase({
    id: 'pci/num-queues/exist',
    clause: LAYOUT,
    title: 'has in num_queues at least the queues that have a size',
    start: { isHeld: true },
    run: (bench, pci) => {
      const count = pci.read(COMMON.numQueues);
      bench.check(count > 0, 'num_queues is 0');
      for (const queue of bench.enabled) bench.check(queue < count, `queue ${queue} serves, of ${count} in num_queues`);
      for (let queue = count; queue < count + 16; queue++)
        bench.equal(`queue_size of queue ${queue}`, pci.readOf(queue, COMMON.queueSize), 0);
    },
  }),
  startedPciCase({
    id: 'pci/generation/stays-over-reads',
    clause: NORMS,
    level: 'SHOULD',
    title: 'keeps config_generation while the configuration is read and nothing changes',
    run: (bench, pci) => {
      const before = pci.read(COMMON.generation);
      for (let n = 0; n < 8; n++) bench.equal('config_generation', pci.read(COMMON.generation), before);
    },
  }),
  pciCase({
    id: 'pci/features-ok/kept',
    clause: '2.2.2',
    title: 'presents the same feature bits before and after FEATURES_OK',
    run: async (bench, pci) => {
      const words = (): string =>
        [0, 1].map((word) => (pci.write(COMMON.deviceFeatureSelect, word), pci.read(COMMON.deviceFeature))).join(', ');
      await bench.reset();
      greetDevice(bench.transport);
      const before = words();
      await bench.start();
      bench.equal('device_feature after FEATURES_OK', words(), before);
    },
  }),
  pciCase({
    id: 'pci/features-ok/version-1-in-word-1',
    clause: NORMS,
    title: 'presents VERSION_1 as bit 0 of word 1',
    run: async (bench, pci) => {
      await bench.reset();
      pci.write(COMMON.deviceFeatureSelect, 1);
      bench.check((pci.read(COMMON.deviceFeature) & 1) !== 0, 'word 1 of device_feature does not have it');
      bench.check(bench.device.offered.has(VIRTIO_F_VERSION_1), 'VERSION_1 is not offered');
    },
  }),
  startedPciCase({
    id: 'pci/features-ok/high-word-first',
    clause: LAYOUT,
    title: 'takes the words of driver_feature in any order',
    start: { isHeld: true },
    run: async (bench, pci) => {
      const features = bench.accepted.bits;
      await bench.reset();
      greetDevice(bench.transport);
      for (const word of [1, 0]) {
        pci.write(COMMON.driverFeatureSelect, word);
        pci.write(COMMON.driverFeature, featureWord(features, word));
      }
      pci.write(COMMON.status, DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk);
      const status = pci.read(COMMON.status);
      bench.check((status & DeviceStatus.FeaturesOk) !== 0, 'it cleared FEATURES_OK for a set that it accepted before');
    },
  }),
];

/** A word of feature bits. */
export function featureWord(bits: bigint, word: number): number {
  return Number(BigInt.asUintN(32, bits >> BigInt(32 * word)));
}
