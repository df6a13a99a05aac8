import type { NegotiationPolicy } from '@virtio-platform/core';
import type { CheckedProfile } from './profile-schema.ts';

/** The policy as negotiation takes it: the two numbers of the experimental features belong together. */
export function policySection(checked: CheckedProfile['policy']): NegotiationPolicy {
  const { noTranslationBit, identityAddressBit, ...switches } = checked;
  return { ...switches, bits: { noTranslation: noTranslationBit, identityAddress: identityAddressBit } };
}
