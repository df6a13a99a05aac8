import { VIRTIO_F_RING_PACKED, VIRTIO_RING_F_INDIRECT_DESC } from '../../features/feature-bit.ts';
import { featureDependencies, meetsDependency } from '../../features/feature-dependencies.ts';
import { featureRange } from '../../features/transport-features.ts';
import { optionsOf, type Grounds, type Negotiation, type NegotiationRule } from '../negotiation.ts';
import { REFERENCES } from '../source-reference.ts';

/** The bit that specification 1.4 section 6.3 keeps unused: QEMU takes a driver that accepts it for a broken one. */
const UNUSED = 30;

/** What of the offer can be accepted at all. Nothing here refuses: a driver ignores what it does not know. */
export const CANDIDATE_RULES: readonly NegotiationRule[] = [
  {
    name: 'experimental-off',
    source: 'virtio 1.4 §2.2.1: a driver ignores bits that the specification does not describe',
    stage: 'candidates',
    apply(negotiation) {
      const { experimental, bits } = negotiation.policy;
      const { noTranslation, identityAddress } = bits;
      if (experimental) {
        negotiation.note(`the policy turns on the features of 2019, as bits ${noTranslation} and ${identityAddress}`);
        return;
      }
      for (const feature of [noTranslation, identityAddress]) {
        negotiation.decline(feature, 'proposed in 2019, never standardised', { option: 'policy.experimental: false' });
      }
    },
  },
  {
    name: 'reserved-bits-ignored',
    source: 'virtio 1.4 §2.2 and §6.3: bits 44 to 49 are for future extensions, bit 30 is unused',
    stage: 'candidates',
    apply(negotiation) {
      const { noTranslation, identityAddress } = negotiation.policy.bits;
      declineEach(negotiation, (feature) => {
        if (feature === noTranslation || feature === identityAddress) return undefined;
        if (feature === UNUSED) return { reason: 'unused: only a broken driver accepts it' };
        return featureRange(feature) === 'future extensions' ? { reason: 'reserved for future extensions' } : undefined;
      });
    },
  },
  {
    name: 'transport-carries',
    source: 'virtio 1.4 §4.1.4.10, §4.2.5, §4.3.4: what the legacy interface, MMIO and channel I/O lack',
    stage: 'candidates',
    apply(negotiation) {
      const { carries } = negotiation.input;
      declineEach(negotiation, (feature) =>
        carries.has(feature) ? undefined : { reason: 'this transport cannot carry it' },
      );
    },
  },
  {
    name: 'driver-supports',
    source: 'virtio 1.4 §2.2.1: a driver never accepts what it does not understand, and never fails because of it',
    stage: 'candidates',
    apply(negotiation) {
      const { supported, deviceFeatures, unsupported = [] } = negotiation.input;
      const { rows } = deviceFeatures;
      declineEach(negotiation, (feature) => {
        if (supported.has(feature)) return undefined;
        const chosen = unsupported.find((declined) => declined.feature === feature);
        const why = chosen?.reason ?? rows.find(({ bit }) => bit === feature)?.undriven;
        const reason = 'the driver does not support it';
        return { reason: why === undefined ? reason : `${reason}: ${why}`, option: chosen?.option };
      });
    },
  },
  {
    name: 'hardened-ring',
    source: 'mail: Kleen, 2021 (in a confidential guest, only split rings without indirect descriptors)',
    references: [REFERENCES['kleen-2021-06-02']],
    stage: 'candidates',
    apply(negotiation) {
      if (!negotiation.policy.hardenRing) return negotiation.note('the policy does not ask for it');
      if (!negotiation.input.traits.restrictedMemory) return negotiation.note('memory is not restricted');
      const option = optionsOf('policy.hardenRing: true', negotiation.input.traits.factOptions?.restrictedMemory);
      for (const feature of [VIRTIO_F_RING_PACKED, VIRTIO_RING_F_INDIRECT_DESC])
        negotiation.decline(feature, 'the policy wants the simplest ring where the device is not trusted', { option });
    },
  },
  {
    name: 'dependencies-closed',
    source: 'virtio 1.4 §2.2.1: no feature without the ones it requires',
    stage: 'candidates',
    apply: closeDependencies,
  },
];

/** Declines every candidate that lacks what it requires, and then what required that. */
export function closeDependencies(negotiation: Negotiation): void {
  const dependencies = featureDependencies(negotiation.input.deviceFeatures, negotiation.policy.bits);
  let found = false;
  for (let declined = true; declined;) {
    declined = false;
    for (const dependency of dependencies) {
      if (meetsDependency(negotiation.candidates, dependency)) continue;
      const { feature, requires, alternative, source } = dependency;
      const needed = alternative === undefined ? [requires] : [requires, alternative];
      const names = needed.map((bit) => negotiation.name(bit)).join(' or ');
      const option = optionsOf(...new Set(needed.map((bit) => negotiation.optionOf(bit))));
      negotiation.decline(feature, `requires ${names} (${source})`, { option });
      declined = true;
      found = true;
    }
  }
  if (!found) negotiation.note('every candidate has what it requires');
}

/** Declines the candidates for which there is a reason to. */
function declineEach(
  negotiation: Negotiation,
  why: (feature: number) => (Grounds & { readonly reason: string }) | undefined,
): void {
  let found = false;
  for (const feature of negotiation.candidates) {
    const grounds = why(feature);
    if (grounds === undefined) continue;
    negotiation.decline(feature, grounds.reason, grounds);
    found = true;
  }
  if (!found) negotiation.note('nothing to decline');
}
