import { VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1 } from '../../features/feature-bit.ts';
import type { FeatureSet } from '../../features/feature-set.ts';
import { optionsOf, type Negotiation, type NegotiationRule } from '../negotiation.ts';
import { REFERENCES } from '../source-reference.ts';

/**
 * How a device gets at restricted memory:
 * - `unrestricted`: memory is not restricted;
 * - `mapped`: it knows that its access is limited, and the platform maps;
 * - `bounced`: it takes the physical addresses of shared slots, and need not know;
 * - `unchecked`: it passes for one that reaches everything, and will fail; Linux goes on so on some platforms;
 * - `not-physical`: it would be bounced, but the address of a slot is not a physical one;
 * - `refused`.
 */
export type RestrictedAccess = 'unrestricted' | 'mapped' | 'bounced' | 'unchecked' | 'not-physical' | 'refused';

/** Finds out how a device with these features would get at memory. */
export function restrictedAccess({ input, policy }: Negotiation, features: FeatureSet): RestrictedAccess {
  const { traits, offered } = input;
  if (!traits.restrictedMemory) return 'unrestricted';
  const isModern = features.has(VIRTIO_F_VERSION_1);
  if (isModern && features.has(VIRTIO_F_ACCESS_PLATFORM)) return 'mapped';
  // The device is bound to the platform by what it offers: it takes no physical addresses then, whatever is accepted.
  if (offered.has(VIRTIO_F_ACCESS_PLATFORM)) return 'refused';
  const isPromised = policy.noTranslationSatisfiesRestricted && features.has(policy.bits.noTranslation);
  if (isModern && (isPromised || policy.allowUnflaggedBounce))
    return traits.bounceIsPhysical === true ? 'bounced' : 'not-physical';
  return !policy.strict && traits.restrictedUnchecked === true ? 'unchecked' : 'refused';
}

/** The switch of the policy that has buffers bounced for a device with these features that does not know it. */
export function bouncePolicy({ policy }: Negotiation, features: FeatureSet): string {
  const isPromised = policy.noTranslationSatisfiesRestricted && features.has(policy.bits.noTranslation);
  return `policy.${isPromised ? 'noTranslationSatisfiesRestricted' : 'allowUnflaggedBounce'}: true`;
}

/** The gate that Linux has in `virtio_features_ok`, ahead of its early return for legacy devices. */
export const RESTRICTED_MEMORY_RULE: NegotiationRule = {
  name: 'restricted-memory-needs-access-platform',
  source: 'Linux virtio_features_ok with virtio_require_restricted_mem_acc',
  references: [REFERENCES['morel-2020-09-10']],
  stage: 'restricted-memory',
  apply: (negotiation) => passRestrictedMemory(negotiation, negotiation.candidates),
};

/** Refuses a device that could not get at restricted memory with these features. */
export function passRestrictedMemory(negotiation: Negotiation, features: FeatureSet): void {
  const { traits } = negotiation.input;
  switch (restrictedAccess(negotiation, features)) {
    case 'unrestricted':
      return negotiation.note('memory is not restricted');
    case 'mapped':
      return negotiation.note('memory is restricted, and the device provides VERSION_1 and ACCESS_PLATFORM');
    case 'bounced':
      return negotiation.note(
        'the policy has buffers bounced for a device that need not know: a slot has its physical address',
      );
    case 'unchecked':
      return negotiation.note(
        'memory is restricted and nothing checks the device: it will reach for pages it cannot see',
      );
    case 'not-physical':
      return negotiation.refuse(
        'EINVAL',
        'the device would take the address of a bounce slot for a physical one, which it is not',
        {
          device: negotiation.toOffer(VIRTIO_F_ACCESS_PLATFORM),
          platform: 'share the bounce pool where device and physical address are equal',
        },
        { option: optionsOf(traits.pathOption, bouncePolicy(negotiation, features)) },
      );
    default:
      return refuseRestricted(negotiation, features);
  }
}

function refuseRestricted(negotiation: Negotiation, features: FeatureSet): void {
  const needed = [VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM];
  const missing = needed.find((feature) => !features.has(feature))!;
  const name = negotiation.name(missing);
  const isOffered = negotiation.input.offered.has(missing);
  const { restrictedUnchecked, factOptions } = negotiation.input.traits;
  const isByPolicy = !isOffered && missing !== VIRTIO_F_VERSION_1;
  const strict = isByPolicy && restrictedUnchecked === true ? 'policy.strict: true' : undefined;
  negotiation.refuse(
    'ENODEV',
    `memory is restricted, and the device must provide ${name}`,
    {
      ...(isOffered
        ? { driver: `accept ${name}` }
        : { device: negotiation.toOffer(...needed.filter((feature) => !negotiation.input.offered.has(feature))) }),
      ...(isByPolicy && {
        policy: `allowUnflaggedBounce: true${strict === undefined ? '' : ', or strict: false as in Linux'}`,
      }),
    },
    {
      option: optionsOf(
        factOptions?.restrictedMemory,
        negotiation.optionOf(missing),
        isByPolicy ? 'policy.allowUnflaggedBounce: false' : undefined,
        strict,
      ),
    },
  );
}
