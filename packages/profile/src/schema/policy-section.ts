import { DEFAULT_POLICY, type NegotiationPolicy } from '@virtio-platform/core/negotiation';
import { z } from 'zod';

type PolicySwitch = Exclude<keyof NegotiationPolicy, 'bits'>;
type PolicyBit = 'noTranslationBit' | 'identityAddressBit';
type PolicyShape = Record<PolicySwitch, z.ZodDefault<z.ZodBoolean>> & Record<PolicyBit, z.ZodDefault<z.ZodInt>>;

/** The section as its schema gives it: flat, as people write it. */
export type CheckedPolicy = Readonly<Record<PolicySwitch, boolean> & Record<PolicyBit, number>>;

/** The range that virtio 1.4 section 2.2 reserves for future extensions. */
const experimentalBit = z.int().min(44).max(49);
const policySwitch = (name: PolicySwitch): z.ZodDefault<z.ZodBoolean> => z.boolean().default(DEFAULT_POLICY[name]);

/** What a profile may write as its `policy`. */
export const POLICY_SECTION: z.ZodObject<PolicyShape> = z.strictObject({
  experimental: policySwitch('experimental').describe(
    'Turns on ACCESS_PLATFORM_NO_TRANSLATION and ACCESS_PLATFORM_IDENTITY_ADDRESS, proposed in 2019 and never standardised.',
  ),
  noTranslationBit: experimentalBit
    .default(DEFAULT_POLICY.bits.noTranslation)
    .describe('The number of ACCESS_PLATFORM_NO_TRANSLATION, 44 to 49: none was ever assigned.'),
  identityAddressBit: experimentalBit
    .default(DEFAULT_POLICY.bits.identityAddress)
    .describe('The number of ACCESS_PLATFORM_IDENTITY_ADDRESS, 44 to 49.'),
  strict: policySwitch('strict').describe('Refuse also where Linux goes on and the device fails later.'),
  allowLegacy: policySwitch('allowLegacy').describe('Use devices over the legacy interface.'),
  allowUnflaggedBounce: policySwitch('allowUnflaggedBounce').describe(
    'Bounce also for a device without ACCESS_PLATFORM, where a slot has its physical address: the rejected patch of 2019.',
  ),
  noTranslationSatisfiesRestricted: policySwitch('noTranslationSatisfiesRestricted').describe(
    'Take no-translation for all that ACCESS_PLATFORM says of restricted memory.',
  ),
  hardenRing: policySwitch('hardenRing').describe('In restricted memory, no packed rings and no indirect descriptors.'),
  allowUnsafeNoIommu: policySwitch('allowUnsafeNoIommu').describe(
    'Allows driver.privilege process-noiommu: a process that can make the device reach all of memory.',
  ),
  allowUnsafeInterrupts: policySwitch('allowUnsafeInterrupts').describe(
    'Let a process have a device whose interrupts are not remapped.',
  ),
  probeUnflagged: policySwitch('probeUnflagged').describe(
    'Refuse a device without ACCESS_PLATFORM where the platform’s addresses are not physical, as Windows drivers do.',
  ),
});

/** The policy as negotiation takes it: the two numbers of the experimental features belong together. */
export function policySection(checked: CheckedPolicy): NegotiationPolicy {
  const { noTranslationBit, identityAddressBit, ...switches } = checked;
  return { ...switches, bits: { noTranslation: noTranslationBit, identityAddress: identityAddressBit } };
}
