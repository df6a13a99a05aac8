import { CORE_RULES } from './core-rules.ts';
import {
  CLOSED_STAGES,
  Negotiation,
  NEGOTIATION_STAGES,
  type NegotiationInput,
  type NegotiationResult,
  type NegotiationRule,
} from './negotiation.ts';

/**
 * Runs the core's rules and the platform's, stage by stage, and gives every offered feature its outcome. At the end the
 * core verifies what was accepted, and the path follows from it: throws `TypeError` for a platform rule of these two
 * stages.
 */
export function negotiate(input: NegotiationInput, platformRules: readonly NegotiationRule[]): NegotiationResult {
  const meddling = platformRules.find(({ stage }) => CLOSED_STAGES.includes(stage));
  if (meddling !== undefined)
    throw new TypeError(`rule ${meddling.name}: a platform has no say in stage ${meddling.stage}`);
  const negotiation = new Negotiation(input);
  for (const stage of NEGOTIATION_STAGES) {
    for (const rule of [...CORE_RULES, ...platformRules]) if (rule.stage === stage) negotiation.run(rule);
  }
  return negotiation.result();
}
