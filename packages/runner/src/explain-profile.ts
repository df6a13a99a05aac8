import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import type { NegotiationResult, PlatformTraits } from '@virtio-platform/core/negotiation';
import { composeRun, type Profile } from '@virtio-platform/profile';
import { RunSession } from './run-session.ts';

/**
 * Why a profile negotiates as it does: every rule in order, every feature's outcome, the path. What `explain --json`
 * prints.
 */
export interface Explanation {
  readonly profile: string;
  readonly platform: string;
  readonly machine: string;
  readonly interface: string;
  readonly privilege: string;
  readonly offered: readonly string[];
  readonly rules: readonly { readonly rule: string; readonly source: string; readonly says: readonly string[] }[];
  readonly features: readonly {
    readonly feature: string;
    readonly outcome: string;
    readonly rule: string;
    readonly source: string;
    readonly reason: string;
  }[];
  readonly path: string | null;
  readonly addressMeaning: string | null;
  readonly refusal: NonNullable<NegotiationResult['refusal']> | null;
}

/** Boots the profile's machine, negotiates for real, and resets the device again. Throws coded errors. */
export async function explainProfile(profile: Profile): Promise<Explanation> {
  const run = await composeRun(profile);
  try {
    const session = new RunSession(run);
    const { negotiation } = session;
    session.end();
    return {
      profile: profile.name,
      platform: run.platformName,
      machine: run.machineName,
      interface: run.machine.transport.interface,
      privilege: profile.driver.privilege,
      offered: negotiation.offered.names(profile.device.type.features, profile.policy.bits),
      rules: negotiation.trace,
      features: negotiation.decisions.map(({ name, outcome, rule, source, reason }) => ({
        feature: name,
        outcome,
        rule,
        source,
        reason,
      })),
      path: negotiation.path ?? null,
      addressMeaning: addressMeaning(negotiation, run.platform.traits),
      refusal: negotiation.refusal ?? null,
    };
  } finally {
    await run.dispose();
  }
}

/** The meaning of an address is the platform's to say only where it is asked. */
function addressMeaning({ path, accepted }: NegotiationResult, traits: PlatformTraits): string | null {
  if (path === undefined) return null;
  if (path === 'physical') return 'guest-physical, not translated further';
  if (accepted.has(VIRTIO_F_ACCESS_PLATFORM)) return traits.addressMeaning;
  return 'the guest-physical address of a shared slot that the buffer is copied through';
}
