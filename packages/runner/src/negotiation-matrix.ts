import { featureBit, FeatureSet, transportCarries } from '@virtio-platform/core/features';
import { negotiate, type NegotiationResult, type Refusal } from '@virtio-platform/core/negotiation';
import { composeRun, type ComposedRun, type Offer, type Profile } from '@virtio-platform/profile';
import { supportedFeatures } from '@virtio-platform/session';

/** What comes of one offer under one platform. */
export interface MatrixCell {
  readonly offer: string;
  readonly outcome: 'accepted' | 'refused';
  readonly accepted: readonly string[];
  readonly declined: readonly { readonly feature: string; readonly rule: string; readonly reason: string }[];
  readonly path: string | null;
  readonly refusal: Refusal | null;
  /** The rule that decided: who refused, or what ACCESS_PLATFORM or its absence came to. */
  readonly rule: string;
  /** Where that rule comes from. */
  readonly source: string;
}

/** One platform, as a profile describes it and its driver. */
export interface MatrixRow {
  readonly profile: string;
  readonly platform: string;
  readonly privilege: string;
  readonly cells: readonly MatrixCell[];
}

/** Sixteen offers that tell the platforms apart, and the disputed ones among them. */
export const DEFAULT_OFFERS: readonly Offer[] = [
  offer('legacy', ['ANY_LAYOUT', 'RING_EVENT_IDX'], 'legacy'),
  offer('legacy with AP', ['ANY_LAYOUT', 'ACCESS_PLATFORM'], 'legacy'),
  offer('modern without V1', ['RING_EVENT_IDX']),
  offer('V1', ['VERSION_1']),
  offer('V1 AP', ['VERSION_1', 'ACCESS_PLATFORM']),
  offer('V1 AP ring', ['VERSION_1', 'ACCESS_PLATFORM', 'RING_EVENT_IDX', 'RING_INDIRECT_DESC']),
  offer('V1 AP packed', ['VERSION_1', 'ACCESS_PLATFORM', 'RING_PACKED', 'IN_ORDER']),
  offer('V1 AP order', ['VERSION_1', 'ACCESS_PLATFORM', 'ORDER_PLATFORM']),
  offer('V1 AP SR-IOV', ['VERSION_1', 'ACCESS_PLATFORM', 'SR_IOV', 'ADMIN_VQ']),
  offer('V1 AP unknown', ['VERSION_1', 'ACCESS_PLATFORM', 'BIT_30', 'BIT_47', 'BIT_127']),
  offer('AP without V1', ['ACCESS_PLATFORM']),
  offer('V1 NT', ['VERSION_1', 'ACCESS_PLATFORM_NO_TRANSLATION']),
  offer('V1 AP NT', ['VERSION_1', 'ACCESS_PLATFORM', 'ACCESS_PLATFORM_NO_TRANSLATION']),
  offer('V1 ID', ['VERSION_1', 'ACCESS_PLATFORM_IDENTITY_ADDRESS']),
  offer('V1 AP ID', ['VERSION_1', 'ACCESS_PLATFORM', 'ACCESS_PLATFORM_IDENTITY_ADDRESS']),
  offer('V1 AP NT ID', [
    'VERSION_1',
    'ACCESS_PLATFORM',
    'ACCESS_PLATFORM_NO_TRANSLATION',
    'ACCESS_PLATFORM_IDENTITY_ADDRESS',
  ]),
];

/**
 * Negotiates every offer under the platform of each profile. Each machine is booted once, for what its platform states;
 * the device is asked nothing, so that offers no machine could make have an answer too. Throws coded errors.
 */
export async function negotiationMatrix(
  profiles: readonly Profile[],
  offers: readonly Offer[],
): Promise<readonly MatrixRow[]> {
  const rows: MatrixRow[] = [];
  for (const profile of profiles) {
    const run = await composeRun(profile);
    try {
      const cells = offers.map((offered) => cellOf(run, offered));
      rows.push({
        profile: profile.name,
        platform: run.platformName,
        privilege: profile.driver.privilege,
        cells,
      });
    } finally {
      await run.dispose();
    }
  }
  return rows;
}

function cellOf({ profile, platform }: ComposedRun, { name, interface: deviceInterface, features }: Offer): MatrixCell {
  const { device, driver, policy } = profile;
  const deviceFeatures = device.type.features;
  const bits = features.flatMap((feature) => featureBit(feature, deviceFeatures, policy.bits) ?? []);
  const result = negotiate(
    {
      deviceFeatures,
      interface: deviceInterface,
      offered: FeatureSet.of(...bits),
      supported: supportedFeatures(profile),
      carries: transportCarries(deviceInterface === 'legacy' ? 'legacy' : 'pci'),
      traits: platform.traits,
      privilege: driver.privilege,
      policy,
      clears: driver.clears,
      declines: device.type.driver.declines,
    },
    platform.rules,
  );
  return {
    offer: name,
    outcome: result.refusal === undefined ? 'accepted' : 'refused',
    accepted: result.accepted.names(deviceFeatures, policy.bits),
    declined: result.decisions
      .filter(({ outcome }) => outcome === 'declined')
      .map(({ name: feature, rule, reason }) => ({ feature, rule, reason })),
    path: result.path ?? null,
    refusal: result.refusal ?? null,
    ...decidingRule(result),
  };
}

/**
 * What an address means was decided with ACCESS_PLATFORM where it is accepted, and by the path's rule where it is not.
 */
function decidingRule({ decisions, trace, refusal }: NegotiationResult): {
  readonly rule: string;
  readonly source: string;
} {
  const access = decisions.find(({ name, outcome }) => name === 'ACCESS_PLATFORM' && outcome === 'accepted');
  const { rule, source } = refusal ?? access ?? trace.at(-1)!;
  return { rule, source };
}

function offer(name: string, features: readonly string[], deviceInterface: Offer['interface'] = 'modern'): Offer {
  return { name, interface: deviceInterface, features };
}
