import { CORE_RULES } from './core-rules.ts';
import {
  Negotiation,
  NEGOTIATION_STAGES,
  type NegotiationInput,
  type NegotiationResult,
  type NegotiationRule,
} from './negotiation.ts';

/** Runs the core's rules and the platform's, stage by stage, and gives every offered feature its outcome. */
export function negotiate(input: NegotiationInput, platformRules: readonly NegotiationRule[]): NegotiationResult {
  const negotiation = new Negotiation(input);
  for (const stage of NEGOTIATION_STAGES) {
    for (const rule of [...CORE_RULES, ...platformRules]) if (rule.stage === stage) negotiation.run(rule);
  }
  return negotiation.result();
}
