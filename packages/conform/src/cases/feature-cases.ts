import {
  bareCase,
  bareCases,
  BOTH_LAYOUTS,
  type ConformBench,
  type ConformCase,
  startedCase,
} from '@virtio-platform/core';
import { DeviceStatus, greetDevice, readDeviceStatus } from '@virtio-platform/core/device';
import {
  FeatureSet,
  meetsDependency,
  featureDependencies,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_NOTIFICATION_DATA,
  VIRTIO_F_RING_PACKED,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_SR_IOV,
  VIRTIO_F_SUSPEND,
  VIRTIO_F_VERSION_1,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_RING_F_INDIRECT_DESC,
} from '@virtio-platform/core/features';
import { offers } from './needs.ts';

/** Ring features that are tried in each combination. */
const COMBINED = [
  VIRTIO_RING_F_INDIRECT_DESC,
  VIRTIO_RING_F_EVENT_IDX,
  VIRTIO_F_IN_ORDER,
  VIRTIO_F_NOTIFICATION_DATA,
  VIRTIO_F_RING_RESET,
  VIRTIO_F_SUSPEND,
] as const;
/** Without these bits a device may fail to operate (specification 1.4 section 6.2). */
const KEPT = FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM);
/** Bits above those that are reserved for all device types, of which some are no feature. */
const LEAST_OF_TYPE = 50;
const MOST_OF_TYPE = 63;

/** Writes features by hand; returns whether the device keeps FEATURES_OK. */
async function accepts(bench: ConformBench, features: FeatureSet): Promise<boolean> {
  const { transport } = bench;
  await bench.reset();
  greetDevice(transport);
  transport.writeDriverFeatures(features);
  transport.writeStatus(readDeviceStatus(transport) | DeviceStatus.FeaturesOk);
  return (readDeviceStatus(transport) & DeviceStatus.FeaturesOk) !== 0;
}

/** Serves with these ring features on the layout of the case. */
async function servesWith(bench: ConformBench, features: readonly number[]): Promise<void> {
  await bench.start({ with: features });
  const indirect = bench.accepted.has(VIRTIO_RING_F_INDIRECT_DESC);
  await bench.serveMany(12, 3, (n) => ({ indirect: indirect && n % 2 === 1 }));
}

/** Feature bits (specification 1.4 sections 2.2 and 6). */
export const FEATURE_CASES: readonly ConformCase[] = [
  bareCase({
    id: 'features/version-1',
    clause: '6.2',
    title: 'offers VERSION_1',
    run: (bench) => bench.check(bench.device.offered.has(VIRTIO_F_VERSION_1), 'VERSION_1 is not offered'),
  }),
  bareCase({
    id: 'features/closed-offer',
    clause: '2.2.2',
    title: 'offers no feature without those that it requires',
    run: (bench) => {
      const { offered } = bench.device;
      for (const dependency of featureDependencies(bench.featureTable)) {
        const isMet = meetsDependency(offered, dependency);
        bench.check(isMet, `feature bit ${dependency.feature} is offered without bit ${dependency.requires}`);
      }
    },
  }),
  bareCase({
    id: 'features/known-only',
    clause: '2.2.2',
    title: 'offers no feature bit that the specification does not have',
    run: (bench) => {
      const known = new Set(bench.featureTable.rows.map(({ bit }) => bit));
      for (const bit of bench.device.offered)
        bench.check(known.has(bit) || (bit >= 24 && bit <= 43), `feature bit ${bit} is offered, which has no meaning`);
    },
  }),
  bareCase({
    id: 'features/sr-iov',
    clause: '6.2',
    title: 'does not offer SR_IOV where there is no PCI function that could have it',
    run: (bench) => {
      const isPci = !['vhost-user', 'simulated'].includes(bench.device.machine);
      bench.check(isPci || !bench.device.offered.has(VIRTIO_F_SR_IOV), 'SR_IOV is offered, and there is no PCI');
    },
  }),
  ...bareCases({ clause: '2.2.2', level: 'SHOULD' }, [
    {
      id: 'features/stable-offer',
      title: 'offers the same features after a reset',
      run: async (bench) => {
        const { transport, device } = bench;
        await bench.start();
        await bench.reset();
        const again = transport.readDeviceFeatures();
        bench.equal('the offer after a reset', `0x${again.bits.toString(16)}`, `0x${device.offered.bits.toString(16)}`);
      },
    },
    {
      id: 'features/all',
      title: 'works with every feature that a driver can accept of its type',
      layouts: BOTH_LAYOUTS,
      run: (bench) => servesWith(bench, COMBINED),
    },
    {
      id: 'features/least',
      title: 'works with as few features as there may be',
      layouts: BOTH_LAYOUTS,
      run: async (bench) => {
        const least = bench.device.acceptable.and(KEPT);
        const features = bench.layout === 'packed' ? least.with(VIRTIO_F_RING_PACKED) : least;
        await bench.start({ features });
        await bench.serveMany(6, 2);
      },
    },
    {
      id: 'features/each-dropped',
      title: 'works without any one of the features of its type',
      run: async (bench) => {
        const { acceptable } = bench.device;
        const dependencies = featureDependencies(bench.featureTable);
        for (const { bit, name } of bench.featureTable.rows) {
          if (!acceptable.has(bit)) continue;
          await bench.start();
          const without = bench.accepted.without(bit);
          if (!dependencies.every((dependency) => meetsDependency(without, dependency))) continue;
          bench.check(await accepts(bench, without), `it cleared FEATURES_OK for a driver without ${name}`);
          await bench.start({ features: without });
          await bench.serve(bench.layOut(0));
        }
      },
    },
    {
      id: 'features/ring-combinations',
      title: 'works with each combination of the ring features that it offers',
      layouts: BOTH_LAYOUTS,
      run: async (bench) => {
        const offered = COMBINED.filter((bit) => bench.device.acceptable.has(bit));
        for (let mask = 0; mask < 2 ** offered.length; mask++)
          await servesWith(
            bench,
            offered.filter((_, i) => (mask & (1 << i)) !== 0),
          );
      },
    },
  ]),
  startedCase({
    id: 'features/renegotiated',
    clause: '2.2.2',
    level: 'SHOULD',
    title: 'accepts the same features again after a reset',
    layouts: BOTH_LAYOUTS,
    start: { with: COMBINED },
    run: async (bench) => {
      const features = bench.accepted;
      bench.check(await accepts(bench, features), 'it cleared FEATURES_OK for a set that it accepted before');
    },
  }),
  bareCase({
    id: 'features/layout-changes',
    clause: '2.2',
    title: 'works with the other layout after a reset, to and fro (V52)',
    needs: [offers(VIRTIO_F_RING_PACKED)],
    run: async (bench) => {
      for (const layout of ['split', 'packed', 'split', 'packed', 'packed', 'split'] as const) {
        await bench.start({ layout });
        await bench.serveMany(5, 2);
      }
    },
  }),
  bareCase({
    id: 'features/unoffered-bit',
    clause: '2.2.2',
    level: 'SHOULD',
    title: 'clears FEATURES_OK for a feature that it does not offer',
    isHostile: true,
    run: async (bench) => {
      const { acceptable, offered } = bench.device;
      const known = new Set(bench.featureTable.rows.map(({ bit }) => bit));
      let bit = MOST_OF_TYPE;
      while (bit > LEAST_OF_TYPE && (known.has(bit) || offered.has(bit))) bit--;
      bench.check(!(await accepts(bench, acceptable.with(bit))), `FEATURES_OK stayed set with feature bit ${bit}`);
    },
  }),
  startedCase({
    id: 'features/late',
    clause: '2.2.1',
    level: 'SHOULD',
    title: 'does not change features that are written after FEATURES_OK',
    isHostile: true,
    start: { isHeld: true },
    run: async (bench, ring) => {
      bench.transport.writeDriverFeatures(FeatureSet.EMPTY);
      bench.go();
      const laid = bench.layOut(0);
      ring.give(laid.segments);
      await bench.takeBack(laid, ring);
    },
  }),
];
