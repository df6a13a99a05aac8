import type { BootedMachine } from '@virtio-platform/core';
import {
  PHYSICAL_ADDRESS_SPACE,
  TranslatedAddressSpace,
  type AddressSpaceBlueprint,
} from '@virtio-platform/core/address-space';
import { DeviceStatus, greetDevice, startDevice } from '@virtio-platform/core/device';
import {
  EXPERIMENTAL_BITS,
  FeatureSet,
  VIRTIO_F_ACCESS_PLATFORM,
  VIRTIO_F_VERSION_1,
} from '@virtio-platform/core/features';
import type { DriverPrivilege } from '@virtio-platform/core/negotiation';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { testMachine } from './test-machine.ts';

const { noTranslation: NT, identityAddress: IDA } = EXPERIMENTAL_BITS;
const BITS = [28, 29, VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM, 34, NT, IDA];

/** Behind an IOMMU in which nothing is mapped. */
const NOTHING: AddressSpaceBlueprint = {
  state: undefined,
  open: (memory, faults) =>
    new TranslatedAddressSpace(memory, faults, { generation: 0, run: 1, cause: 'unmapped', translate: () => -1 }),
};

interface Booted {
  readonly machine: BootedMachine;
  /** What each binding of the device's address space was told. */
  readonly bound: readonly boolean[];
}

async function boot(
  offers: FeatureSet,
  behindIommu: AddressSpaceBlueprint,
  driverPrivilege: DriverPrivilege = 'kernel',
): Promise<Booted> {
  const bound: boolean[] = [];
  const machine = testMachine({
    memory: 2 ** 20,
    device: { offers, driverPrivilege, experimental: EXPERIMENTAL_BITS },
    simulate: () => ({
      facilities: new Map(),
      addressSpace(offersAccessPlatform) {
        bound.push(offersAccessPlatform);
        return offersAccessPlatform ? behindIommu : PHYSICAL_ADDRESS_SPACE;
      },
    }),
    options: { onFault: 'silent' },
  });
  return { machine: await machine.boot(), bound };
}

/** Writes features as any driver can, and tells whether the device took them. */
function confirms({ machine: { transport } }: Booted, features: FeatureSet): boolean {
  greetDevice(transport);
  transport.writeDriverFeatures(features);
  transport.writeStatus(transport.readStatus() | DeviceStatus.FeaturesOk);
  return (transport.readStatus() & DeviceStatus.FeaturesOk) !== 0;
}

describe('the address space of a device', () => {
  it('P2: depends on what it offers and never on what a driver accepts', async () => {
    await fc.assert(
      fc.asyncProperty(fc.subarray(BITS), fc.subarray(BITS), fc.boolean(), async (offered, written, skips) => {
        const offers = FeatureSet.of(...offered);
        const booted = await boot(offers, NOTHING);
        const { transport, memory, faults } = booted.machine;
        const isTaken = confirms(booted, FeatureSet.of(...written));
        if (skips) greetDevice(transport);
        startDevice(transport);
        transport.enableQueue(0, { size: 8, words: Uint32Array.of(0x1000, 0, 0x2000, 0, 0x3000, 0) });
        memory.u8[0x2002] = 1; // avail.idx: one buffer, at physical addresses
        transport.notify(0, 1);
        expect(booted.bound).toEqual([offers.has(VIRTIO_F_ACCESS_PLATFORM)]);
        // Whatever runs behind an IOMMU finds nothing there; what does not run finds out nothing.
        const isLive = isTaken && !skips;
        if (offers.has(VIRTIO_F_ACCESS_PLATFORM)) expect(faults.count > 0).toBe(isLive);
        expect((transport.readStatus() & DeviceStatus.DriverOk) !== 0).toBe(isLive);
        await booted.machine.dispose();
      }),
      { numRuns: 200 },
    );
  });
});

describe('a device that knows the features of 2019', () => {
  const V1 = VIRTIO_F_VERSION_1;
  const AP = VIRTIO_F_ACCESS_PLATFORM;
  const offers = FeatureSet.of(V1, AP, NT, IDA);

  it.each([
    [[V1, AP], true],
    [[V1, AP, IDA], true],
    [[V1, AP, NT], false],
    [[V1, NT], false],
    [[V1, IDA], false],
    [[V1, AP, NT, IDA], false],
    [[AP, IDA], false],
  ])('takes %j over an identity: %s', async (features, isTaken) => {
    const booted = await boot(offers, PHYSICAL_ADDRESS_SPACE);
    expect(confirms(booted, FeatureSet.of(...features))).toBe(isTaken);
  });

  it('looks at identity itself, and that is no fault', async () => {
    const booted = await boot(offers, NOTHING);
    expect(confirms(booted, FeatureSet.of(V1, AP, IDA))).toBe(false);
    expect(confirms(booted, FeatureSet.of(V1, AP))).toBe(true);
    expect(booted.machine.faults.count).toBe(0);
  });

  it('takes no-translation where it offers nothing else, and from the kernel only', async () => {
    const plain = FeatureSet.of(V1, NT);
    expect(confirms(await boot(plain, NOTHING), plain)).toBe(true);
    for (const privilege of ['process', 'process-noiommu'] as const) {
      expect(confirms(await boot(plain, NOTHING, privilege), plain)).toBe(false);
      expect(confirms(await boot(offers, PHYSICAL_ADDRESS_SPACE, privilege), FeatureSet.of(V1, AP, IDA))).toBe(false);
    }
  });
});
