import type { NegotiationRule } from './negotiation.ts';
import { ACCESS_RULES } from './rules/access-rules.ts';
import { CANDIDATE_RULES } from './rules/candidate-rules.ts';
import { ASSIGNMENT_RULES } from './rules/assignment-rules.ts';
import { INTERFACE_RULES } from './rules/interface-rules.ts';
import { PATH_RULE } from './rules/path-rule.ts';
import { RESTRICTED_MEMORY_RULE } from './rules/restricted-memory-rule.ts';
import { VALIDATE_RULES } from './rules/validate-rules.ts';

/** The rules that hold on every platform, in order. Sources are in our own words. */
export const CORE_RULES: readonly NegotiationRule[] = [
  ...INTERFACE_RULES,
  ...ASSIGNMENT_RULES,
  ...CANDIDATE_RULES,
  RESTRICTED_MEMORY_RULE,
  ...ACCESS_RULES,
  ...VALIDATE_RULES,
  PATH_RULE,
];
