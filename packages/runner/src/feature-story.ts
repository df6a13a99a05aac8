import { featureBit, featureName, featureNames, featureTables } from '@virtio-platform/core/features';
import type { SourceReference } from '@virtio-platform/core/negotiation';
import { shortFeatureName, type Profile } from '@virtio-platform/profile';
import type { Explanation } from './explain-profile.ts';

/** One feature under one profile: what it is, and every decision of it in order. */
export interface FeatureStory {
  readonly profile: string;
  readonly feature: string;
  /** 0 to 127. */
  readonly bit: number;
  /** What has to be accepted with it; each entry one name, or several of which one is enough. */
  readonly requires: readonly string[];
  /** Where the specification, or the device type, describes it. */
  readonly source: string;
  /** The transports without it, each with the source. */
  readonly absentOn: Readonly<Record<string, string>>;
  readonly offered: boolean;
  /** `unused` where the device was refused whatever was decided of the feature. */
  readonly outcome: 'accepted' | 'declined' | 'not offered' | 'unused';
  /**
   * What of the profile decided it: of a refused device what decided the refusal, of a feature by which the path was
   * chosen the option that chose the path; `null` for nothing.
   */
  readonly option: string | null;
  /** Why the device is refused, whatever was decided of the feature; `null` where it is not. */
  readonly refusal: Explanation['refusal'];
  readonly steps: readonly {
    readonly rule: string;
    readonly source: string;
    readonly references: readonly SourceReference[];
    readonly outcome: string;
    readonly reason: string;
    /** What of the profile decided this step; `null` for nothing. */
    readonly option: string | null;
  }[];
}

/** Every feature name that has a meaning for the device of a profile. */
export function featureNamesOf({ device }: Profile): readonly string[] {
  return featureNames(device.type.features);
}

/**
 * The story of a feature, by its name with or without `VIRTIO_` and `F_`, or by `BIT_n`; `undefined` for a name that
 * means nothing here.
 */
export function featureStory(profile: Profile, explanation: Explanation, asked: string): FeatureStory | undefined {
  const { policy, device } = profile;
  const ofType = device.type.features;
  const bit = featureBit(shortFeatureName(asked), ofType, policy.bits);
  if (bit === undefined) return undefined;
  const feature = featureName(bit, ofType, policy.bits);
  const tables = featureTables(ofType, policy.bits);
  const table = tables.find(({ rows }) => rows.some((row) => row.bit === bit));
  const { requires = [], absentOn = {} } = table?.rows.find((row) => row.bit === bit) ?? {};
  const name = (required: number): string => featureName(required, ofType, policy.bits);
  const steps = explanation.rules.flatMap(({ rule, source, references, decided }) =>
    decided
      .filter((decision) => decision.feature === feature)
      .map(({ outcome, reason, option = null }) => ({ rule, source, references, outcome, reason, option })),
  );
  const last = explanation.features.find((decision) => decision.feature === feature);
  const offered = explanation.offered.includes(feature);
  return {
    profile: explanation.profile,
    feature,
    bit,
    requires: requires.map((entry) => (typeof entry === 'number' ? name(entry) : entry.map(name).join(' or '))),
    source: table?.source ?? 'virtio 1.4 §2.2: no row of the specification or of the device type',
    absentOn,
    offered,
    outcome: outcomeOf(offered, explanation.refusal !== null, last?.outcome),
    option: offered || explanation.refusal !== null ? optionOf(explanation, steps) : 'device.offers',
    refusal: explanation.refusal,
    steps,
  };
}

/** The option of the refusal, or of the last step, or of the path where the rule that chose it decided the feature. */
function optionOf({ choice, refusal }: Explanation, steps: FeatureStory['steps']): string | null {
  if (refusal !== null) return refusal.option;
  const hasChosen = steps.some(({ rule }) => rule === choice?.rule);
  return steps.at(-1)?.option ?? (hasChosen ? (choice?.option ?? null) : null);
}

function outcomeOf(offered: boolean, isRefused: boolean, outcome: string | undefined): FeatureStory['outcome'] {
  if (!offered) return 'not offered';
  if (isRefused) return 'unused';
  return outcome === 'accepted' ? 'accepted' : 'declined';
}
