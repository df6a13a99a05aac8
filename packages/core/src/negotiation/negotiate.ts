import { CORE_RULES } from './core-rules.ts';
import {
  Negotiation,
  NEGOTIATION_STAGES,
  type NegotiationInput,
  type NegotiationResult,
  type NegotiationRule,
} from './negotiation.ts';

/**
 * Runs the core's rules and the platform's, stage by stage, and gives every offered feature its outcome. The path follows from
 * what was accepted, and no platform decides it: throws `TypeError` for a platform rule of that stage.
 */
export function negotiate(input: NegotiationInput, platformRules: readonly NegotiationRule[]): NegotiationResult {
  const meddling = platformRules.find(({ stage }) => stage === 'path');
  if (meddling !== undefined) throw new TypeError(`rule ${meddling.name}: a platform has no say in stage path`);
  const negotiation = new Negotiation(input);
  for (const stage of NEGOTIATION_STAGES) {
    for (const rule of [...CORE_RULES, ...platformRules]) if (rule.stage === stage) negotiation.run(rule);
  }
  return negotiation.result();
}
