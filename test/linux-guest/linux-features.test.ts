import { deviceTable } from '../device-tables.ts';
import { readDecisionTable } from '@virtio-platform/conformance';
import { DeviceStatus } from '@virtio-platform/core/device';
import { describe, expect, it } from 'vitest';
import { captureFeatures, readCapturedFeatures, type CapturedCase, type CapturedDevice } from './captured-features.ts';
import { driveDevice, shownFeatures } from './drive-device.ts';
import { FEATURE_CASES, type CaseDevice, type FeatureCase } from './feature-cases.ts';
import { FEATURE_DIFFERENCES } from './feature-differences.ts';
import { missingForGuest } from './guest-files.ts';
import { featureSet, negotiateOffer } from './negotiate-offer.ts';
import { QEMU_TESTS } from '../machines/qemu-installed.ts';

const captured = readCapturedFeatures();
const { platforms } = readDecisionTable();

const TRIES_ALL = process.env['LINUX_GUESTS'] === 'all';

/** One guest with an IOMMU; `npm run linux` boots all, which takes a minute and a half longer. */
const BOOTED = TRIES_ALL ? FEATURE_CASES : FEATURE_CASES.filter(({ name }) => name === 'q35-iommu');

function capturedCase({ name }: FeatureCase): CapturedCase {
  return captured.cases.find((candidate) => candidate.name === name)!;
}

function deviceName({ type, packed }: CaseDevice): string {
  return packed ? `${type}, packed` : type;
}

const devices = FEATURE_CASES.flatMap((from) =>
  capturedCase(from).devices.map((device) => [`${from.name}: ${deviceName(device)}`, from, device] as const),
);

/** Every second device, on each machine and of each type with each layout: one takes a third of a second. */
const DRIVEN = TRIES_ALL ? devices : devices.filter((_device, index) => index % 2 === 0);

/** Who alone accepts which of some features, as it was seen. */
function differences(device: CapturedDevice, ours: readonly string[], features = device.offered.names): string[] {
  const linux = device.accepted.names;
  return features
    .filter((feature) => linux.includes(feature) !== ours.includes(feature))
    .map((feature) => `${feature}: ${linux.includes(feature) ? 'Linux' : 'us'}`)
    .toSorted();
}

/** The same, as it was explained. */
function explained(from: FeatureCase, device: CapturedDevice, features = device.offered.names): string[] {
  return FEATURE_DIFFERENCES.filter(({ types, bus }) => types.includes(device.type) && (bus ?? from.bus) === from.bus)
    .flatMap(({ features: some, acceptedBy }) => some.map((feature) => ({ feature, acceptedBy })))
    .filter(({ feature }) => features.includes(feature))
    .map(({ feature, acceptedBy }) => `${feature}: ${acceptedBy}`)
    .toSorted();
}

describe('what a Linux guest accepts, and what we accept of the same offer', () => {
  it.each(devices)('differs only where it is explained: %s', async (_name, from, device) => {
    const { accepted, refusal } = await negotiateOffer(from, device, featureSet(device.offered.names, device));
    const gaveUp = (Number(device.status) & DeviceStatus.Failed) !== 0;
    expect(refusal !== undefined).toBe(gaveUp);
    // Linux shows what it would have accepted when it gave up; a refusal leaves nothing to compare.
    if (!gaveUp) expect(differences(device, accepted.names(deviceTable(device.type)))).toEqual(explained(from, device));
  });

  it('is refused where a balloon is behind an IOMMU, and nowhere else', () => {
    const given = devices.filter(([, , { status }]) => (Number(status) & DeviceStatus.Failed) !== 0);
    expect(given.map(([name]) => name)).toEqual([
      'q35-iommu: balloon',
      'q35-amd-iommu: balloon',
      'pseries-iommu: balloon',
      'q35-virtio-iommu: balloon',
      'virt-smmuv3: balloon',
      'virt-virtio-iommu: balloon',
    ]);
  });

  // Linux on POWER has groups without a domain.
  it.each(FEATURE_CASES.map((from) => [from.name, from] as const))(
    'goes through a domain of the IOMMU where the platform of %s translates, and nowhere else',
    (_name, from) => {
      const translates = platforms[from.platform]!.traits.mappedPath === 'translated';
      for (const { domain } of capturedCase(from).devices) expect(domain.startsWith('DMA')).toBe(translates);
    },
  );

  it('has no explanation that explains nothing', () => {
    const used = new Set(
      devices.flatMap(([, from, device]) => explained(from, device).map((line) => `${device.type} ${line}`)),
    );
    const given = FEATURE_DIFFERENCES.flatMap(({ types, features, acceptedBy }) =>
      types.flatMap((type) => features.map((feature) => `${type} ${feature}: ${acceptedBy}`)),
    );
    expect(given.toSorted()).toEqual([...used].toSorted());
  });

  it.each(FEATURE_CASES.map((from) => [from.name, from] as const))('was captured as %s is', (_name, from) => {
    const { command, append, devices } = capturedCase(from);
    expect(command.split(' ').slice(1)).toEqual(from.arguments);
    expect(append).toBe(from.append);
    expect(devices).toMatchObject(from.devices);
  });
});

describe.skipIf(!QEMU_TESTS.mayRun)(`our driver on the devices that Linux was given (${QEMU_TESTS.needs})`, () => {
  it.each(DRIVEN)(
    'is offered the same and accepts what Linux does but for the explained: %s',
    async (_name, from, device) => {
      const report = await driveDevice(from, device);
      if ((Number(device.status) & DeviceStatus.Failed) !== 0) {
        expect([report.outcome, report.refusal?.code]).toEqual(['refused', 'ENODEV']);
        return;
      }
      expect([report.outcome, report.workload.verified, report.differences]).toEqual(['completed', true, []]);
      const shown = shownFeatures(from, device);
      expect(report.features.offered).toEqual(shown);
      expect(differences(device, report.features.accepted, shown)).toEqual(explained(from, device, shown));
    },
  );
});

describe.each(BOOTED.map((from) => [from.name, from] as const))('Linux booted again: %s', (_name, from) => {
  const missing = missingForGuest(from.architecture, from.release);
  const skipped = missing === undefined ? '' : ` (needs ${missing.what}: ${missing.fix})`;

  it.skipIf(missing !== undefined)(`accepts what it accepted when it was captured${skipped}`, async () => {
    const seen = await captureFeatures(from);
    expect(seen.devices).toEqual(capturedCase(from).devices);
  });
});
