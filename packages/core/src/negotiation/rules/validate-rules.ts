import { VIRTIO_F_VERSION_1 } from '../../features/feature-bit.ts';
import { isContradictory, unmetDependency } from '../../features/feature-dependencies.ts';
import { FeatureSet } from '../../features/feature-set.ts';
import type { NegotiationRule } from '../negotiation.ts';
import { passRestrictedMemory } from './restricted-memory-rule.ts';
import { REFERENCES } from '../source-reference.ts';

/**
 * First the driver of the device type takes back features; it cannot add any. Then the core checks again what must
 * hold, and changes nothing.
 */
export const VALIDATE_RULES: readonly NegotiationRule[] = [
  {
    name: 'driver-half-declines',
    source: 'Linux virtio_dev_probe: validate of a driver clears features, as virtballoon_validate ACCESS_PLATFORM',
    stage: 'validate',
    apply(negotiation) {
      const { accepted, input } = negotiation;
      const declined = (input.declines ?? []).filter(({ feature }) => accepted.has(feature));
      for (const { feature, reason, option } of declined) negotiation.decline(feature, reason, { option });
      if (declined.length === 0) negotiation.note('the driver half works with everything that is accepted');
    },
  },
  {
    name: 'driver-takes-back',
    source: 'Linux virtio_dev_probe: validate may clear features; here a profile says which (driver.clears)',
    stage: 'validate',
    apply(negotiation) {
      const cleared = negotiation.accepted.and(negotiation.input.clears ?? FeatureSet.EMPTY);
      for (const feature of cleared) {
        const option = `driver.clears: [${negotiation.name(feature)}]`;
        negotiation.decline(feature, 'the driver was told to clear it', { option });
      }
      if (cleared.bits === 0n) negotiation.note('the driver takes nothing back');
    },
  },
  {
    name: 'restricted-memory-once-more',
    source: 'Linux virtio_features_ok, which runs after validate',
    references: [REFERENCES['morel-2020-09-10']],
    stage: 'verify',
    apply: (negotiation) => passRestrictedMemory(negotiation, negotiation.accepted),
  },
  {
    name: 'accepted-set-is-valid',
    source: 'virtio 1.4 §2.2.1; mail: Bauermann, 2019-04-17; Tsirkin, 2019-07-01',
    references: [REFERENCES['bauermann-2019-04-17'], REFERENCES['tsirkin-2019-07-01']],
    stage: 'verify',
    apply(negotiation) {
      const { accepted, input, policy } = negotiation;
      if (input.interface === 'modern' && !accepted.has(VIRTIO_F_VERSION_1)) {
        return negotiation.refuse(
          'EINVAL',
          'VERSION_1 was taken back, and the modern interface needs it',
          { driver: 'keep VERSION_1' },
          { option: negotiation.optionOf(VIRTIO_F_VERSION_1) },
        );
      }
      const unmet = unmetDependency(accepted, input.deviceFeatures, policy.bits);
      if (unmet !== undefined) {
        const name = negotiation.name(unmet.feature);
        const needs = negotiation.name(unmet.requires);
        negotiation.refuse(
          'EINVAL',
          `${name} was left accepted without ${needs} (${unmet.source})`,
          { platform: `a rule that declines ${needs} has to decline ${name} too` },
          { option: negotiation.optionOf(unmet.requires) },
        );
      } else if (isContradictory(accepted, policy.bits)) {
        negotiation.refuse('EINVAL', 'ACCESS_PLATFORM and ACCESS_PLATFORM_NO_TRANSLATION cannot both be accepted', {
          platform: 'a rule may accept only one of them',
        });
      } else if (input.privilege !== 'kernel' && accepted.has(policy.bits.identityAddress)) {
        negotiation.refuse(
          'EPERM',
          'a process cannot promise identity: it does not control all mappings',
          { platform: 'no rule may accept ACCESS_PLATFORM_IDENTITY_ADDRESS for a process' },
          { option: `driver.privilege: ${input.privilege}` },
        );
      } else negotiation.note('everything accepted has what it requires, and nothing contradicts');
    },
  },
];
