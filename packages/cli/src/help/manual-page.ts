import { EXIT_STATUSES } from '../exit-status.ts';
import type { CompletionTable } from './completion.ts';
import type { TableOption } from './command-table.ts';

/** What the manual page says beside the table of commands. */
export interface ManualFacts {
  readonly description: string;
  readonly version: string;
}

const ENVIRONMENT = [
  ['NO_COLOR', 'no colour, whatever the output is'],
  ['FORCE_COLOR', 'colour also where the output is no terminal; 0 for none'],
] as const;

/** The manual page of section 1 in roff (man macros), made from the same table as the help. */
export function manualPage(
  { commands, options }: Omit<CompletionTable, 'profiles'>,
  { description, version }: ManualFacts,
): string {
  const lines = [
    `.TH VIRTIO-PLATFORM 1 "" "virtio-platform ${roff(version)}" "User Commands"`,
    '.SH NAME',
    `virtio-platform \\- ${roff(description)}`,
    '.SH SYNOPSIS',
    ...commands.flatMap(({ name, usage }, i) => [
      ...(i > 0 ? ['.br'] : []),
      `.B virtio\\-platform ${roff(name)}`,
      roff(['[options]', usage].join(' ').trim()),
    ]),
    '.SH DESCRIPTION',
    'A virtio driver hands a device addresses. What such an address means is decided by the platform.',
    'Profiles, which are YAML files, choose a platform, a machine, a device and a workload;',
    'the same ring runs unchanged under each.',
    '.SH COMMANDS',
    ...commands.flatMap(({ name, description: says, usage, words, options: own }) => [
      `.SS "${roff([name, usage].join(' ').trim())}"`,
      roff(sentence(says)),
      ...words.flatMap(({ name: word, description: what, kind }) => {
        const choices = typeof kind === 'string' ? '' : ` (${kind.join(', ')})`;
        return ['.TP', `.I ${roff(word)}`, roff(`${what}${choices}`)];
      }),
      ...own.flatMap(optionLines),
    ]),
    '.SH OPTIONS',
    ...options.flatMap(optionLines),
    '.SH "EXIT STATUS"',
    ...EXIT_STATUSES.flatMap(([status, text]) => ['.TP', `.B ${status}`, roff(text)]),
    '.SH ENVIRONMENT',
    ...ENVIRONMENT.flatMap(([name, text]) => ['.TP', `.B ${name}`, roff(text)]),
    '.SH "SEE ALSO"',
    'https://github.com/virtio\\-platform/virtio\\-platform',
  ];
  return lines.join('\n');
}

function optionLines({ long, value, description, kind }: TableOption): string[] {
  const choices = typeof kind === 'string' ? '' : ` (${kind.join(', ')})`;
  const name = `.B ${roff(long)}`;
  return ['.TP', value === undefined ? name : `.BI ${roff(long)} " ${roff(value)}"`, roff(`${description}${choices}`)];
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

/** Text as roff reads it: no escape, no request at the start of a line, and hyphens that can be copied. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('…', '...')
    .replaceAll('’', '\\(cq')
    .replaceAll('"', '\\(dq')
    .replace(/^[.']/, '\\&$&');
}
