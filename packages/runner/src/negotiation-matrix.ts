import type { Transport } from '@virtio-platform/core/device';
import { featureBit, FeatureSet, transportCarries } from '@virtio-platform/core/features';
import {
  negotiate,
  type NegotiationResult,
  type Refusal,
  type SourceReference,
} from '@virtio-platform/core/negotiation';
import type { QueueLayout } from '@virtio-platform/core/queue';
import { composeRun, type ComposedRun, type Offer, type Profile } from '@virtio-platform/profile';
import { addressingInput, supportedFeatures, unsupportedFeatures } from '@virtio-platform/session';

/** What comes of one offer under one platform. */
export interface MatrixCell {
  readonly offer: string;
  readonly outcome: 'accepted' | 'refused';
  readonly accepted: readonly string[];
  /** The rule that accepted each feature, by its name. */
  readonly acceptedBy: Readonly<Record<string, string>>;
  readonly declined: readonly { readonly feature: string; readonly rule: string; readonly reason: string }[];
  readonly path: string | null;
  readonly refusal: Omit<Refusal, 'option'> | null;
  /** The rule that decided: who refused, or whose decision the path follows from. */
  readonly rule: string;
  /** What of the profile decided, beside the offer: `platform.domain: pass-through`; `null` where nothing of it did. */
  readonly option: string | null;
  /** Where that rule comes from. */
  readonly source: string;
  readonly references: readonly SourceReference[];
}

/** One platform, as a profile describes it and its driver, and a driver of one layout. */
export interface MatrixRow {
  /** The layout that the driver asks for; without RING_PACKED in the offer a `packed` one gets a split ring. */
  readonly layout: QueueLayout;
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
 * Negotiates every offer under the platform of each profile, for a driver with a split ring and for one with a packed
 * ring: two rows for each profile. Each machine is booted once, for what its platform states; the device is asked
 * nothing, so that offers no machine could make have an answer too. Throws coded errors.
 */
export async function negotiationMatrix(
  profiles: readonly Profile[],
  offers: readonly Offer[],
): Promise<readonly MatrixRow[]> {
  const rows: MatrixRow[] = [];
  for (const profile of profiles) {
    const run = await composeRun(profile);
    try {
      for (const layout of ['split', 'packed'] as const) {
        const cells = offers.map((offered) => cellOf(run, layout, offered));
        const { privilege } = profile.driver;
        rows.push({ profile: profile.name, layout, platform: run.platformName, privilege, cells });
      }
    } finally {
      await run.dispose();
    }
  }
  return rows;
}

/** What the transport of the machine carries, or the PCI one where that has the other interface. */
function carriedFeatures({ interface: has, carries }: Transport, asked: Offer['interface']): FeatureSet {
  return has === asked ? carries : transportCarries(asked === 'legacy' ? 'legacy' : 'pci');
}

function cellOf(
  { profile, platform, machine }: ComposedRun,
  layout: QueueLayout,
  { name, interface: deviceInterface, features }: Offer,
): MatrixCell {
  const { device, driver, policy } = profile;
  const deviceFeatures = device.type.features;
  const terms = { ...profile, queue: { layout } };
  const bits = features.flatMap((feature) => featureBit(feature, deviceFeatures, policy.bits) ?? []);
  const result = negotiate(
    {
      deviceFeatures,
      interface: deviceInterface,
      offered: FeatureSet.of(...bits),
      supported: supportedFeatures(terms),
      unsupported: unsupportedFeatures(terms),
      carries: carriedFeatures(machine.transport, deviceInterface),
      traits: platform.traits,
      privilege: driver.privilege,
      policy,
      clears: driver.clears,
      declines: device.type.driver.declines,
      ...addressingInput(device.addressing, machine.memory.size),
    },
    platform.rules,
  );
  return {
    offer: name,
    outcome: result.refusal === undefined ? 'accepted' : 'refused',
    accepted: result.accepted.names(deviceFeatures, policy.bits),
    acceptedBy: Object.fromEntries(
      result.decisions
        .filter(({ outcome }) => outcome === 'accepted')
        .map(({ name: feature, rule }) => [feature, rule]),
    ),
    declined: result.decisions
      .filter(({ outcome }) => outcome === 'declined')
      .map(({ name: feature, rule, reason }) => ({ feature, rule, reason })),
    path: result.path ?? null,
    refusal: refusalOf(result),
    ...decisionOf(result),
  };
}

/** A refusal without its option, which is that of the cell. */
function refusalOf({ refusal }: NegotiationResult): MatrixCell['refusal'] {
  if (refusal === undefined) return null;
  const { option: _, ...rest } = refusal;
  return rest;
}

type Decision = Pick<MatrixCell, 'rule' | 'option' | 'source' | 'references'>;

function decisionOf({ refusal, choice, trace }: NegotiationResult): Decision {
  const { rule, source, option = null } = refusal ?? choice!;
  const references = trace.find((one) => one.rule === rule)?.references ?? [];
  return { rule, option, source, references };
}

function offer(name: string, features: readonly string[], deviceInterface: Offer['interface'] = 'modern'): Offer {
  return { name, interface: deviceInterface, features };
}
