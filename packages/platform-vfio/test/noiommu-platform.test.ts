import type { Platform } from '@virtio-platform/core';
import { PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import { FeatureSet, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { GuestMemory } from '@virtio-platform/core/memory';
import {
  DEFAULT_POLICY,
  negotiate,
  type DriverPrivilege,
  type NegotiationResult,
} from '@virtio-platform/core/negotiation';
import { openPlatform } from '@virtio-platform/conformance/testing';
import { BLOCK_FEATURES } from '@virtio-platform/device-block';
import { describe, expect, it } from 'vitest';
import vfio, {
  ENOTTY,
  NoiommuPlatform,
  SimulatedNoiommuContainer,
  VFIO_CONTAINER,
  vfioOptionsSchema,
  type VfioOptionsInput,
} from '@virtio-platform/platform-vfio';

const MEMORY = 2 ** 20;
const ALLOWED = { unsafeNoiommuMode: true, capSysRawio: true };
const EVERYTHING = new FeatureSet((1n << 64n) - 1n);

function start(input: VfioOptionsInput): { platform: Platform; memory: GuestMemory; simulated: unknown } {
  const options = vfioOptionsSchema.parse({ container: 'noiommu', ...input });
  const { platform, memory, hardware, facility } = openPlatform(vfio, options, { memory: MEMORY });
  for (const offers of [false, true]) expect(hardware.addressSpace(offers)).toBe(PHYSICAL_ADDRESS_SPACE);
  return { platform, memory, simulated: facility(VFIO_CONTAINER) };
}

function negotiateWith(
  input: VfioOptionsInput,
  privilege: DriverPrivilege,
  offered = FeatureSet.of(VIRTIO_F_VERSION_1),
): NegotiationResult {
  const { traits, rules } = start(input).platform;
  const supported = EVERYTHING;
  return negotiate(
    {
      deviceFeatures: BLOCK_FEATURES,
      interface: 'modern',
      offered,
      supported,
      carries: supported,
      traits,
      privilege,
      policy: { ...DEFAULT_POLICY, allowUnsafeNoIommu: true },
    },
    rules,
  );
}

describe('NoiommuPlatform', () => {
  it('gives physical addresses, probed, and maps nothing', () => {
    const { platform, memory, simulated } = start(ALLOWED);
    expect(platform).toBeInstanceOf(NoiommuPlatform);
    expect(platform.traits).toMatchObject({ isolates: false, mappedPath: 'identity', identityVerified: true });
    const mapping = platform.openMapping('identity', { queue: 0, capacity: 1 });
    const words = new Uint32Array(2);
    expect(mapping.map(0x5000, 100, 0, words, 0)).toBeGreaterThanOrEqual(0);
    expect([...words]).toEqual([0x5000, 0]);
    mapping.dispose();
    platform.dispose();
    expect(memory.allocated).toBe(0);
    if (!(simulated instanceof SimulatedNoiommuContainer)) throw new TypeError('not a container of this type');
    expect(simulated.mapDma(0, 0, 4096, 3)).toBe(ENOTTY);
    expect(simulated.unmapDma(0, 4096)).toBe(ENOTTY);
  });

  it.each([
    ['the mode', { capSysRawio: true }],
    ['the capability', { unsafeNoiommuMode: true }],
    ['both', {}],
  ])('refuses the device with EPERM without %s', (_what, input) => {
    expect(negotiateWith(input, 'process-noiommu').refusal).toMatchObject({
      code: 'EPERM',
      rule: 'vfio-noiommu-is-unsafe',
      reason: expect.stringContaining('enable_unsafe_noiommu_mode and CAP_SYS_RAWIO'),
    });
  });

  it('refuses an unprivileged process with EPERM, even where the mode is on: nothing isolates it', () => {
    for (const offered of [
      FeatureSet.of(VIRTIO_F_VERSION_1),
      FeatureSet.of(VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM),
    ])
      expect(negotiateWith(ALLOWED, 'process', offered).refusal?.code).toBe('EPERM');
  });

  it('refuses a driver in the kernel and says what to set', () => {
    expect(negotiateWith(ALLOWED, 'kernel').refusal).toMatchObject({
      code: 'EINVAL',
      rule: 'vfio-noiommu-driver-is-trusted',
      change: { driver: 'driver.privilege: process-noiommu' },
    });
  });
});
