import { type NegotiationResult } from '@virtio-platform/core';
import { composeRun, type Profile } from '@virtio-platform/profile';
import { DeviceSession } from './device-session.ts';

/** Why a profile negotiates as it does: every rule in order, every feature's outcome, the path. What `explain --json` prints. */
export interface Explanation {
  readonly profile: string;
  readonly platform: string;
  readonly machine: string;
  readonly interface: string;
  readonly privilege: string;
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
    const session = new DeviceSession(run);
    const { negotiation } = session;
    session.end();
    const isPhysical = negotiation.path === 'physical';
    return {
      profile: profile.name,
      platform: run.platformName,
      machine: run.machineName,
      interface: run.machine.transport.interface,
      privilege: profile.driver.privilege,
      rules: negotiation.trace,
      features: negotiation.decisions.map(({ name, outcome, rule, source, reason }) => ({
        feature: name,
        outcome,
        rule,
        source,
        reason,
      })),
      path: negotiation.path ?? null,
      addressMeaning:
        negotiation.path === undefined
          ? null
          : isPhysical
            ? 'guest-physical, not translated further'
            : run.platform.traits.addressMeaning,
      refusal: negotiation.refusal ?? null,
    };
  } finally {
    await run.dispose();
  }
}
