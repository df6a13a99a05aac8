import { VIRTIO_F_ACCESS_PLATFORM } from '@virtio-platform/core/features';
import type {
  NegotiationResult,
  PathChoice,
  PlatformTraits,
  Refusal,
  RuleTrace,
} from '@virtio-platform/core/negotiation';
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
  /** Each rule in order, also those that only looked. */
  readonly rules: readonly RuleTrace[];
  readonly features: readonly {
    readonly feature: string;
    readonly outcome: string;
    readonly rule: string;
    readonly source: string;
    readonly reason: string;
    /** What of the profile decided it; `null` where nothing of it did. */
    readonly option: string | null;
  }[];
  readonly path: string | null;
  readonly addressMeaning: string | null;
  /** Which rule chose the path, and what of the profile did; `null` after a refusal. */
  readonly choice: (Omit<PathChoice, 'option'> & { readonly option: string | null }) | null;
  /** Which rule refused the device, and what of the profile did; `null` where none did. */
  readonly refusal: (Omit<Refusal, 'option'> & { readonly option: string | null }) | null;
}

/**
 * Boots the profile's machine, negotiates for real, opens the path, and resets the device again. Throws coded errors.
 */
export async function explainProfile(profile: Profile): Promise<Explanation> {
  const run = await composeRun(profile);
  try {
    const session = new RunSession(run);
    const { negotiation } = session;
    session.end();
    const { path } = negotiation;
    // Some platforms open a window only now.
    if (path !== undefined && path !== 'physical') run.platform.openMapping(path, { queue: 0, capacity: 1 }).dispose();
    return {
      profile: profile.name,
      platform: run.platformName,
      machine: run.machineName,
      interface: run.machine.transport.interface,
      privilege: profile.driver.privilege,
      offered: negotiation.offered.names(profile.device.type.features, profile.policy.bits),
      rules: negotiation.trace,
      features: negotiation.decisions.map(({ name, outcome, rule, source, reason, option }) => ({
        feature: name,
        outcome,
        rule,
        source,
        reason,
        option: option ?? null,
      })),
      path: path ?? null,
      choice: choiceOf(negotiation),
      addressMeaning: addressMeaning(negotiation, run.platform.traits),
      refusal: refusalOf(negotiation),
    };
  } finally {
    await run.dispose();
  }
}

function choiceOf({ choice }: NegotiationResult): Explanation['choice'] {
  return choice === undefined ? null : { ...choice, option: choice.option ?? null };
}

function refusalOf({ refusal }: NegotiationResult): Explanation['refusal'] {
  return refusal === undefined ? null : { ...refusal, option: refusal.option ?? null };
}

/** The meaning of an address is the platform's to say only where it is asked. */
function addressMeaning({ path, accepted }: NegotiationResult, traits: PlatformTraits): string | null {
  if (path === undefined) return null;
  if (path === 'physical') return 'guest-physical, not translated further';
  if (accepted.has(VIRTIO_F_ACCESS_PLATFORM)) return traits.addressMeaning;
  return 'the guest-physical address of a shared slot that the buffer is copied through';
}
