import { describeValue } from '@virtio-platform/core';
import {
  CLOSED_STAGES,
  CORE_RULES,
  NEGOTIATION_STAGES,
  type Negotiation,
  type NegotiationRule,
} from '@virtio-platform/core/negotiation';
import { isRecord } from '../source/unknown-value.ts';
import {
  checkMembers,
  isFunction,
  isOneOf,
  isText,
  orAbsent,
  type GivenObject,
  type MemberCheck,
} from './member-check.ts';
import { runHookSync } from './run-hook.ts';
import { contractError } from './thrown-by-plugin.ts';

/** The most rules of a platform. */
const MOST_RULES = 256;
/** The most references of a rule. */
const MOST_REFERENCES = 16;

const OPEN_STAGES: readonly string[] = NEGOTIATION_STAGES.filter((stage) => !CLOSED_STAGES.includes(stage));

const MEMBERS: readonly MemberCheck[] = [
  ['name', isText, 'a text'],
  ['source', isText, 'a text'],
  ['references', orAbsent(areReferences), 'a list of { name, link } with links of https, or nothing'],
  ['stage', isOneOf(...OPEN_STAGES), `one of ${OPEN_STAGES.join(', ')}`],
  ['apply', isFunction, 'a function'],
];

/**
 * Copies the rules of a platform, each checked, so that a rule cannot add another one while they run. Throws
 * `ERR_PLUGIN_CONTRACT`; what a rule throws when it is applied has a code too.
 */
export function guardRules(given: GivenObject, rules: unknown): readonly NegotiationRule[] {
  const { kind, use, hook } = given;
  if (!Array.isArray(rules)) throw contractError(kind, use, hook, `is ${describeValue(rules)}, not a list`);
  const { length } = rules;
  if (length > MOST_RULES) throw contractError(kind, use, hook, `has ${length} rules; ${MOST_RULES} is the most`);
  const taken = new Set(CORE_RULES.map(({ name }) => name));
  return Array.from({ length }, (_, i): NegotiationRule => {
    const rule: unknown = rules[i];
    checkMembers({ ...given, hook: `${hook}[${i}]` }, rule, MEMBERS);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- its members were just checked
    const { name, source, references, stage } = rule as NegotiationRule;
    if (taken.has(name)) throw contractError(kind, use, hook, `has a second rule of the name ${name}`);
    taken.add(name);
    const apply = (negotiation: Negotiation): void => {
      const place = { ...given, hook: `${hook}: ${name}` };
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      const returned: unknown = runHookSync(kind, use, place.hook, () => (rule as NegotiationRule).apply(negotiation));
      if (isRecord(returned) && typeof returned['then'] === 'function')
        throw contractError(kind, use, place.hook, 'returned a Promise: a rule decides at once');
      checkRefusal(place, negotiation);
    };
    return { name, source, references, stage, apply };
  });
}

/** A rule is a stranger's: what it refuses with goes into reports. */
function checkRefusal(given: GivenObject, { refusal }: Negotiation): void {
  if (refusal === undefined) return;
  const { kind, use, hook } = given;
  const { code, reason, change } = refusal as { code: unknown; reason: unknown; change: unknown };
  if (isText(code) && isText(reason) && isRecord(change)) return;
  throw contractError(kind, use, hook, `refused with code ${describeValue(code)} and reason ${describeValue(reason)}`);
}

/** Links go into pages, so none but https. */
function areReferences(value: unknown): boolean {
  return Array.isArray(value) && value.length <= MOST_REFERENCES && value.every((entry) => isReference(entry));
}

function isReference(value: unknown): boolean {
  if (!isRecord(value)) return false;
  const { name, link, messageId, commit } = value;
  const areTexts = [messageId, commit].every((text) => text === undefined || isText(text));
  return areTexts && isText(name) && typeof link === 'string' && link.startsWith('https://');
}
