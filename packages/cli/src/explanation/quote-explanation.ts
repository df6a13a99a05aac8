import type { SourceReference } from '@virtio-platform/core/negotiation';
import type { FeatureStory } from '@virtio-platform/runner';
import { wrapAnsi } from 'fast-wrap-ansi';
import type { CommandExplanation } from './print-explanation.ts';

/** Columns of a mail. */
const COLUMNS = 72;

/** A decision, and where it comes from. */
interface Quoted {
  readonly rule: string;
  readonly source: string;
  readonly references: readonly SourceReference[];
}

/**
 * The answer as a block of plain text for a mail: at most 72 columns, what was decided, by which rule, with its clause,
 * and the Message-ID, link or commit of what decided. `version` is that of the tool.
 */
export function quoteExplanation(explanation: CommandExplanation, version: string): string {
  const { profile, platform, interface: deviceInterface, privilege, offered, refusal, choice } = explanation;
  const subject = `${profile}: ${refusal === null ? `path ${explanation.path ?? 'none'}` : `refused ${refusal.code}`}`;
  const { rule = '', source = '' } = refusal ?? choice ?? {};
  const references = explanation.rules.find((one) => one.rule === rule)?.references ?? [];
  return [
    paragraph(subject),
    paragraph(`${platform}, ${deviceInterface} interface, driver privilege ${privilege}`, '  '),
    fact('Offered', offered.join(', ') || 'nothing'),
    refusal === null ? fact('Address', explanation.addressMeaning ?? '') : fact('Reason', refusal.reason),
    ...optionLines((refusal ?? choice)?.option),
    ...sourceLines({ rule, source, references }),
    ...Object.entries(refusal?.change ?? {}).map(([where, what]) => fact('Change', `${where}: ${String(what)}`)),
    fact('Tool', `virtio-platform ${version}`),
  ].join('\n');
}

/** The same for one feature: every decision of it, in order. */
export function quoteFeatureStory(story: FeatureStory, version: string): string {
  const { profile, feature, bit, outcome, steps, source, refusal, option } = story;
  return [
    paragraph(`${profile}: ${feature} (bit ${bit}) ${outcome}`),
    ...steps.flatMap((step) => [fact('Reason', `${step.outcome}: ${step.reason}`), ...sourceLines(step)]),
    ...(steps.length === 0 ? [fact('Clause', source)] : []),
    ...(refusal === null
      ? []
      : [
          fact('Refused', `${refusal.code}: ${refusal.reason}`),
          fact('Rule', refusal.rule),
          fact('Clause', refusal.source),
        ]),
    ...optionLines(option),
    fact('Tool', `virtio-platform ${version}`),
  ].join('\n');
}

function optionLines(option: string | null | undefined): string[] {
  return option == null ? [] : [fact('Option', option)];
}

function sourceLines({ rule, source, references }: Quoted): string[] {
  return [fact('Rule', rule), fact('Clause', source), ...references.flatMap((reference) => lookUp(reference))];
}

/** A Message-ID finds the mail by itself, so a link that is too long for a line is left out beside it. */
function lookUp({ name, link, messageId, commit }: SourceReference): string[] {
  const lines = [fact('See', name)];
  if (messageId !== undefined) lines.push(`  Message-ID: <${messageId}>`);
  if (commit !== undefined) lines.push(`  Commit: ${commit}`);
  const asLine = `  ${link}`;
  if (asLine.length <= COLUMNS) lines.push(asLine);
  else if (messageId === undefined && commit === undefined) lines.push(link);
  return lines;
}

function fact(name: string, text: string): string {
  const [first = '', ...others] = wrapAnsi(text, COLUMNS - 11, { hard: true }).split('\n');
  return [`  ${`${name}:`.padEnd(9)}${first}`, ...others.map((line) => `${' '.repeat(11)}${line}`)].join('\n');
}

function paragraph(text: string, margin = ''): string {
  const lines = wrapAnsi(text, COLUMNS - margin.length, { hard: true }).split('\n');
  return lines.map((line) => margin + line).join('\n');
}
