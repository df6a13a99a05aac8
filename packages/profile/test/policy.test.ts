import { FeatureSet, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1 } from '@virtio-platform/core/features';
import { DEFAULT_POLICY } from '@virtio-platform/core/negotiation';
import { describe, expect, it } from 'vitest';
import { checkProfile, loadProfile } from '../src/load-profile.ts';
import { profileText, type ProfileLines } from './support/profile-text.ts';
import { temporaryProfile } from './support/temporary-folder.ts';

function withPolicy(policy: string, lines: ProfileLines = {}): string {
  return temporaryProfile(`${profileText(lines)}policy: ${policy}\n`);
}

async function messages(policy: string, lines: ProfileLines = {}): Promise<string[]> {
  const { issues } = await checkProfile(withPolicy(policy, lines));
  return issues.map(({ path, message }) => `${path}: ${message}`);
}

describe('the policy of a profile', () => {
  it('is that of the core unless it says otherwise', async () => {
    const { policy, driver } = await loadProfile(temporaryProfile(profileText()));
    expect(policy).toEqual(DEFAULT_POLICY);
    expect(driver.lacks.equals(FeatureSet.EMPTY)).toBe(true);
    expect(driver.forces).toBeUndefined();
  });

  it('gives the experimental features their numbers, also in the lists of features', async () => {
    const profile = await loadProfile(
      withPolicy('{ experimental: true, noTranslationBit: 48, strict: false }', {
        device: '{ type: block, offers: [VERSION_1, ACCESS_PLATFORM_NO_TRANSLATION] }',
        driver: '{ lacks: [ACCESS_PLATFORM_IDENTITY_ADDRESS], clears: [ACCESS_PLATFORM] }',
        expect: '{ accepted: [VERSION_1, ACCESS_PLATFORM_NO_TRANSLATION] }',
      }),
    );
    expect(profile.policy).toMatchObject({ strict: false, bits: { noTranslation: 48, identityAddress: 45 } });
    expect([...profile.device.offers!]).toEqual([VIRTIO_F_VERSION_1, 48]);
    expect([...profile.driver.lacks]).toEqual([45]);
    expect([...profile.driver.clears]).toEqual([VIRTIO_F_ACCESS_PLATFORM]);
    expect(profile.expect.accepted).toEqual(['VERSION_1', 'ACCESS_PLATFORM_NO_TRANSLATION']);
  });

  it.each([
    ['{ strikt: true }', 'policy.strikt: unknown key `strikt`'],
    ['{ noTranslationBit: 43 }', 'policy.noTranslationBit: must be at least 44, not `43`'],
    ['{ noTranslationBit: 45 }', 'policy.identityAddressBit: must be another bit than noTranslationBit'],
    ['{ experimental: 1 }', 'policy.experimental: must be true or false, not `1`'],
  ])('does not take %s', async (policy, message) => {
    expect(await messages(policy)).toEqual([message]);
  });
});

describe('a hostile driver', () => {
  it.each([
    [
      '{ forces: [VERSION_1], lacks: [ACCESS_PLATFORM] }',
      'driver.lacks: a driver that forces features negotiates nothing',
    ],
    ['{ forces: [NET_MAC] }', 'driver.forces: NET_MAC is no feature of a block device'],
  ])('does not take %s', async (driver, message) => {
    expect(await messages('{}', { driver })).toEqual([message]);
  });

  it('needs a device that can refuse', async () => {
    const lines = { driver: '{ forces: [ANY_LAYOUT] }', device: '{ type: block, interface: legacy }' };
    expect(await messages('{}', lines)).toEqual([
      'driver.forces: only a modern device can refuse features: make it modern, or expect outcome refused',
    ]);
  });

  it('may expect physical addresses with ACCESS_PLATFORM, without a refusal', async () => {
    const lines = {
      driver: '{ forces: [VERSION_1, ACCESS_PLATFORM] }',
      expect: '{ path: physical, accepted: [VERSION_1, ACCESS_PLATFORM] }',
    };
    expect(await messages('{}', lines)).toEqual([]);
  });
});
