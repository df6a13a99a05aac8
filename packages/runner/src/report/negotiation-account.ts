import {
  CORE_RULES,
  type NegotiationResult,
  type NegotiationRule,
  type NegotiationStage,
} from '@virtio-platform/core/negotiation';

/** A rule that decided something: its name, its stage, and where it comes from. */
export interface DecidingRule {
  readonly rule: string;
  /** `undefined` for a rule that neither the core nor the platform has. */
  readonly stage: NegotiationStage | undefined;
  readonly source: string;
}

/** Which rule decided what in a negotiation. */
export interface NegotiationAccount {
  /** The last decision of each feature, in the order of their bits. After a refusal some have none. */
  readonly decisions: readonly (DecidingRule & {
    readonly feature: string;
    readonly outcome: 'accepted' | 'declined';
    readonly reason: string;
  })[];
  /** The rule that refused the device; `null` where none did. */
  readonly refused: DecidingRule | null;
}

/** Gives the decisions of a negotiation their stages. `platformRules` are those that took part in it. */
export function negotiationAccount(
  { decisions, refusal }: NegotiationResult,
  platformRules: readonly NegotiationRule[],
): NegotiationAccount {
  const stages = new Map([...CORE_RULES, ...platformRules].map(({ name, stage }) => [name, stage]));
  const deciding = ({ rule, source }: { readonly rule: string; readonly source: string }): DecidingRule => ({
    rule,
    stage: stages.get(rule),
    source,
  });
  return {
    decisions: decisions.map(({ name, outcome, reason, ...decision }) => ({
      feature: name,
      outcome,
      reason,
      ...deciding(decision),
    })),
    refused: refusal === undefined ? null : deciding(refusal),
  };
}
