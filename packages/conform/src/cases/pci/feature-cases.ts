import type { ConformBench } from '@virtio-platform/core';
import { DeviceStatus, greetDevice } from '@virtio-platform/core/device';
import { COMMON } from '../../pci/common-registers.ts';
import type { PciBench } from '../../pci/pci-bench.ts';
import type { PciCase } from '../../pci/pci-case.ts';
import { featureWord } from './common-cases.ts';

/** Selectors of words that hold no feature, and names of them in ids. */
const SELECTORS = [2, 3, 4, 0x100, 0x8000_0000, 0xffff_ffff];
/** Runs of bits, of which a device offers not all. */
const RUNS: readonly (readonly [name: string, first: number, last: number])[] = [
  ['type', 0, 23],
  ['ring', 24, 31],
  ['reserved', 32, 49],
  ['high', 50, 63],
  ['word-2', 64, 95],
  ['word-3', 96, 127],
];

/** Writes the words of a set by hand, and returns whether FEATURES_OK stays. */
function accepts(bench: ConformBench, pci: PciBench, bits: bigint): boolean {
  greetDevice(bench.transport);
  for (let word = 0; word < 4; word++) {
    pci.write(COMMON.driverFeatureSelect, word);
    pci.write(COMMON.driverFeature, featureWord(bits, word));
  }
  pci.write(COMMON.status, DeviceStatus.Acknowledge | DeviceStatus.Driver | DeviceStatus.FeaturesOk);
  return (pci.read(COMMON.status) & DeviceStatus.FeaturesOk) !== 0;
}

/** Words of features beyond those that exist, and bits that are not offered (sections 2.2.2 and 4.1.4.3.1). */
export const PCI_FEATURE_CASES: readonly PciCase[] = [
  ...SELECTORS.map((selector): PciCase => ({
    id: `pci/features/offer-of-word-0x${selector.toString(16)}`,
    clause: '4.1.4.3.1',
    level: 'MUST',
    title: `presents 0 in device_feature for the selector 0x${selector.toString(16)}`,
    run: async (bench, pci) => {
      await bench.reset();
      greetDevice(bench.transport);
      pci.write(COMMON.deviceFeatureSelect, selector);
      bench.equal('device_feature', pci.read(COMMON.deviceFeature), 0);
    },
  })),
  ...SELECTORS.map((selector): PciCase => ({
    id: `pci/features/write-to-word-0x${selector.toString(16)}`,
    clause: '4.1.4.3.1',
    level: 'MUST',
    title: `keeps words 0 and 1 of driver_feature where 0 is written with the selector 0x${selector.toString(16)}`,
    run: async (bench, pci) => {
      await bench.start({ isHeld: true });
      const features = bench.accepted.bits;
      await bench.reset();
      greetDevice(bench.transport);
      for (const word of [0, 1]) {
        pci.write(COMMON.driverFeatureSelect, word);
        pci.write(COMMON.driverFeature, featureWord(features, word));
      }
      pci.write(COMMON.driverFeatureSelect, selector);
      pci.write(COMMON.driverFeature, 0);
      for (const word of [0, 1]) {
        pci.write(COMMON.driverFeatureSelect, word);
        bench.equal(`word ${word} of driver_feature`, pci.read(COMMON.driverFeature), featureWord(features, word));
      }
    },
  })),
  ...RUNS.map(([name, first, last]): PciCase => ({
    id: `pci/features/unoffered-${name}`,
    clause: '2.2.2',
    level: 'SHOULD',
    title: `does not keep both FEATURES_OK and a bit of ${first} to ${last} that it does not offer`,
    isHostile: true,
    run: async (bench, pci) => {
      await bench.start({ isHeld: true });
      const features = bench.accepted.bits;
      pci.write(COMMON.deviceFeatureSelect, first >>> 5);
      const offered = pci.read(COMMON.deviceFeature);
      let bit = last;
      while (bit >= first && ((offered >>> (bit & 31)) & 1) !== 0) bit--;
      if (bit < first) bench.skip('it offers all of them');
      const isKept = accepts(bench, pci, features | (1n << BigInt(bit)));
      pci.write(COMMON.driverFeatureSelect, bit >>> 5);
      // A device may ignore such a bit, and present a 0 (4.1.4.3.1).
      const isShown = ((pci.read(COMMON.driverFeature) >>> (bit & 31)) & 1) !== 0;
      bench.check(!isKept || !isShown, `FEATURES_OK stayed set, and driver_feature has bit ${bit}`);
    },
  })),
];
