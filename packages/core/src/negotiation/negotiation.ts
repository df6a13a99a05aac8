import type { DmaPath } from '../dma/dma-mapping.ts';
import type { DeviceInterface } from '../features/transport-features.ts';
import { VIRTIO_F_VERSION_1 } from '../features/feature-bit.ts';
import { featureName } from '../features/feature-name.ts';
import type { FeatureTable } from '../features/feature-rows.ts';
import { FeatureSet } from '../features/feature-set.ts';
import { DEFAULT_POLICY, type NegotiationPolicy } from './negotiation-policy.ts';
import type { DriverPrivilege, PlatformTraits } from './platform-traits.ts';
import type { SourceReference } from './source-reference.ts';

/** What negotiation is told. Nothing else decides. */
export interface NegotiationInput {
  /** The feature rows of the device type. */
  readonly deviceFeatures: FeatureTable;
  readonly interface: DeviceInterface;
  /** What the device offers. */
  readonly offered: FeatureSet;
  /** What this driver understands: ring features and those of the device type. */
  readonly supported: FeatureSet;
  /** Why features are not in `supported`, where the user of the driver decided that. */
  readonly unsupported?: readonly DeclinedFeature[] | undefined;
  /** What the transport can carry. */
  readonly carries: FeatureSet;
  readonly traits: PlatformTraits;
  readonly privilege: DriverPrivilege;
  /** {@link DEFAULT_POLICY} unless given. */
  readonly policy?: NegotiationPolicy | undefined;
  /** What the user of the driver has it take back at the end. */
  readonly clears?: FeatureSet | undefined;
  /** What the driver half of the device type takes back at the end. */
  readonly declines?: readonly DeclinedFeature[] | undefined;
  /** Width of the addresses that the device can take; 64 unless given. */
  readonly addressBits?: number | undefined;
  /** Whether those addresses reach all of guest memory; `true` unless given. */
  readonly reachesMemory?: boolean | undefined;
}

/** A feature that is declined for a reason of its own, such as that the driver half cannot work with it. */
export interface DeclinedFeature {
  readonly feature: number;
  /** In a few words, for `explain`. */
  readonly reason: string;
  /** See {@link Grounds.option}. */
  readonly option?: string | undefined;
}

/** What would have to be otherwise for the device to be used, by who could change it. Any one of them is enough. */
export interface RequiredChange {
  readonly device?: string;
  readonly driver?: string;
  readonly platform?: string;
  /** A switch of {@link NegotiationPolicy}. */
  readonly policy?: string;
}

/** A refusal: the device is not used. `code` is the errno a kernel would give. */
export interface Refusal {
  readonly code: string;
  readonly rule: string;
  readonly reason: string;
  readonly source: string;
  readonly change: RequiredChange;
  /** See {@link Grounds.option}. */
  readonly option: string | undefined;
}

/** What became of one offered feature, and the rule that decided it. */
export interface FeatureDecision {
  readonly feature: number;
  readonly name: string;
  readonly outcome: 'accepted' | 'declined';
  readonly rule: string;
  readonly source: string;
  readonly reason: string;
  /** See {@link Grounds.option}. */
  readonly option: string | undefined;
}

/** What one rule saw and did, in order; what `explain` prints. */
export interface RuleTrace {
  readonly rule: string;
  readonly source: string;
  readonly says: readonly string[];
  /** Where others find the source. */
  readonly references: readonly SourceReference[];
  /** What it decided of features, in order. A later rule may have decided otherwise. */
  readonly decided: readonly RuleDecision[];
}

/** What one rule decided of a feature. */
export interface RuleDecision {
  readonly feature: string;
  readonly outcome: 'accepted' | 'declined';
  readonly reason: string;
  /** See {@link Grounds.option}. */
  readonly option: string | undefined;
}

/** The path, and what chose it. */
export interface PathChoice {
  readonly path: DmaPath;
  /** The rule whose decision the path follows from. */
  readonly rule: string;
  readonly source: string;
  /** What an address means on the path. */
  readonly reason: string;
  /** What of the profile chose among the paths that the rule leaves: `platform.domain: pass-through`. */
  readonly option: string | undefined;
}

/** On what grounds a rule decides. */
export interface Grounds {
  /**
   * What of the profile decides beside the offer, as the profile writes it: `platform.secure: true`; several with
   * commas, where each has to be as it is. {@link optionsOf} puts them together.
   */
  readonly option?: string | undefined;
}

/** On what grounds a rule chooses the path. */
export interface PathGrounds extends Grounds {
  /** The feature from whose acceptance the path follows; else the path follows from the rule itself. */
  readonly accepted?: number;
}

/** Several options as one {@link Grounds.option}; `undefined` where there is none. */
export function optionsOf(...options: readonly (string | undefined)[]): string | undefined {
  const known = options.filter((option) => option !== undefined);
  return known.length === 0 ? undefined : known.join(', ');
}

/** The result of a negotiation: the outcome of every feature, the path, or the refusal. */
export interface NegotiationResult {
  readonly offered: FeatureSet;
  readonly accepted: FeatureSet;
  readonly decisions: readonly FeatureDecision[];
  readonly refusal: Refusal | undefined;
  /** `undefined` after a refusal. */
  readonly path: DmaPath | undefined;
  /** `undefined` after a refusal. */
  readonly choice: PathChoice | undefined;
  readonly trace: readonly RuleTrace[];
}

/**
 * The steps of negotiation, in order; each rule belongs to one. Reference: Linux `virtio_dev_probe`,
 * `virtio_features_ok`.
 */
export const NEGOTIATION_STAGES = [
  'interface',
  'assignment',
  'candidates',
  'restricted-memory',
  'access',
  'validate',
  'verify',
  'path',
] as const;
/** A stage of negotiation, in the order of {@link NEGOTIATION_STAGES}. */
export type NegotiationStage = (typeof NEGOTIATION_STAGES)[number];

/** Stages in which only the core's rules run: nothing changes any more. */
export const CLOSED_STAGES: readonly NegotiationStage[] = ['verify', 'path'];

/**
 * One named step of negotiation with its source. It looks at the negotiation so far and accepts, declines or refuses,
 * and says why. Platforms contribute rules to every stage but the last two; inside a stage they run after the core's.
 */
export interface NegotiationRule {
  /** In words with hyphens, unique. */
  readonly name: string;
  /** Where it comes from: a specification section, a kernel function, a mail. */
  readonly source: string;
  /** Where others find the mails and commits that {@link source} names. */
  readonly references?: readonly SourceReference[] | undefined;
  readonly stage: NegotiationStage;
  /** Must not throw: what stops a device is a refusal. */
  apply(negotiation: Negotiation): void;
}

/** A negotiation under way. Rules change it only through these methods, so that every decision names its rule. */
export class Negotiation {
  readonly input: NegotiationInput;
  readonly policy: NegotiationPolicy;
  readonly trace: RuleTrace[] = [];
  readonly #decisions = new Map<number, FeatureDecision>();
  #rule: NegotiationRule | undefined;
  #says: string[] = [];
  #decided: RuleDecision[] = [];
  #refusal: Refusal | undefined;
  #choice: PathChoice | undefined;

  constructor(input: NegotiationInput) {
    this.input = input;
    this.policy = input.policy ?? DEFAULT_POLICY;
  }

  /** Offered bits that no rule has declined. */
  get candidates(): FeatureSet {
    let set = this.input.offered;
    for (const decision of this.#decisions.values())
      if (decision.outcome === 'declined') set = set.without(decision.feature);
    return set;
  }

  get accepted(): FeatureSet {
    let set = FeatureSet.EMPTY;
    for (const decision of this.#decisions.values())
      if (decision.outcome === 'accepted') set = set.with(decision.feature);
    return set;
  }

  get refusal(): Refusal | undefined {
    return this.#refusal;
  }

  accept(feature: number, reason: string, grounds: Grounds = {}): void {
    if (!this.candidates.has(feature)) throw new TypeError(`${this.name(feature)} is not there to accept`);
    this.#decide(feature, 'accepted', reason, grounds);
  }

  /** Declines a feature, also one an earlier rule accepted. */
  decline(feature: number, reason: string, grounds: Grounds = {}): void {
    if (this.input.offered.has(feature)) this.#decide(feature, 'declined', reason, grounds);
  }

  /** Refuses the device, and says what would have to change. The first refusal stands. */
  refuse(code: string, reason: string, change: RequiredChange = {}, grounds: Grounds = {}): void {
    const { name: rule, source } = this.#rule!;
    const option = checkedOption(grounds);
    this.#says.push(`refuses: ${reason}`);
    this.#refusal ??= { code, rule, source, reason, change, option };
  }

  /** The option that decided a feature so far, such as one that had it declined. */
  optionOf(feature: number): string | undefined {
    return this.#decisions.get(feature)?.option;
  }

  choosePath(path: DmaPath, reason: string, { accepted, option }: PathGrounds = {}): void {
    const decision = accepted === undefined ? undefined : this.#decisions.get(accepted);
    const { rule, source } = decision ?? { rule: this.#rule!.name, source: this.#rule!.source };
    this.#choice = { path, rule, source, reason, option };
    this.#says.push(`path ${path}: ${reason}`);
  }

  /** Notes what a rule saw without deciding anything. */
  note(text: string): void {
    this.#says.push(text);
  }

  /** What a device has to do to offer features above 31, in a suggestion: the legacy interface has none. */
  toOffer(...features: readonly number[]): string {
    const isLegacy = this.input.interface === 'legacy';
    const all = isLegacy ? new Set([VIRTIO_F_VERSION_1, ...features]) : features;
    const offer = `offer ${[...all].map((feature) => this.name(feature)).join(' and ')}`;
    return isLegacy ? `be modern (device.interface and driver.interface), and ${offer}` : offer;
  }

  /** Names a feature bit as this device's profiles do. */
  name(feature: number): string {
    return featureName(feature, this.input.deviceFeatures, this.policy.bits);
  }

  /** Runs one rule; nothing runs after a refusal. */
  run(rule: NegotiationRule): void {
    if (this.#refusal !== undefined) return;
    this.#rule = rule;
    this.#says = [];
    this.#decided = [];
    rule.apply(this);
    const { name, source, references = [] } = rule;
    this.trace.push({ rule: name, source, says: this.#says, references, decided: this.#decided });
  }

  result(): NegotiationResult {
    const refused = this.#refusal !== undefined;
    return {
      offered: this.input.offered,
      accepted: refused ? FeatureSet.EMPTY : this.accepted,
      decisions: [...this.#decisions.values()].toSorted((a, b) => a.feature - b.feature),
      refusal: this.#refusal,
      path: refused ? undefined : this.#choice?.path,
      choice: refused ? undefined : this.#choice,
      trace: this.trace,
    };
  }

  #decide(feature: number, outcome: 'accepted' | 'declined', reason: string, grounds: Grounds): void {
    const { name: rule, source } = this.#rule!;
    const name = this.name(feature);
    const option = checkedOption(grounds);
    this.#decisions.set(feature, { feature, name, outcome, rule, source, reason, option });
    this.#decided.push({ feature: name, outcome, reason, option });
    this.#says.push(`${outcome} ${name}: ${reason}`);
  }
}

/** A rule may be a stranger's, and what it states goes into reports. */
function checkedOption({ option }: Grounds): string | undefined {
  if (option === undefined || typeof option === 'string') return option;
  throw new TypeError(`the option of a decision is a text, not of type ${typeof option}`);
}
