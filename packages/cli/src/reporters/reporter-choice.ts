import { GithubReporter } from './github-reporter.ts';
import { JsonReporter } from './json-reporter.ts';
import { JunitReporter } from './junit-reporter.ts';
import { ListReporter } from './text/list-reporter.ts';
import { NdjsonReporter } from './ndjson-reporter.ts';
import type { Reporter, ReporterOptions } from './reporter.ts';
import { SarifReporter } from './sarif-reporter.ts';
import { TableReporter } from './text/table-reporter.ts';
import { TapReporter } from './tap-reporter.ts';
import type { Terminal } from '../terminal.ts';

type MakeReporter = (terminal: Terminal, options: ReporterOptions) => Reporter;

/** The reporters by their names. */
export const REPORTERS = {
  list: (terminal, options) => new ListReporter(terminal, options),
  table: (terminal, options) => new TableReporter(terminal, options),
  json: (terminal) => new JsonReporter(terminal),
  ndjson: (terminal) => new NdjsonReporter(terminal),
  junit: (terminal, options) => new JunitReporter(terminal, options),
  tap: (terminal, options) => new TapReporter(terminal, options),
  sarif: (terminal, options) => new SarifReporter(terminal, options),
  github: (terminal, options) => new GithubReporter(terminal, options),
} as const satisfies Readonly<Record<string, MakeReporter>>;

/** The name of a reporter. */
export type ReporterName = keyof typeof REPORTERS;

/** The names, as they are listed. */
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of an object of this module
export const REPORTER_NAMES: readonly ReporterName[] = Object.keys(REPORTERS) as ReporterName[];

/** Those that share an output with others: people, and CI systems that look for lines of theirs. */
const SHARES: ReadonlySet<ReporterName> = new Set(['list', 'table', 'github']);

/** A reporter, and where it writes. */
export interface ReporterChoice {
  readonly name: ReporterName;
  /** A path; `undefined` for the standard output. */
  readonly file: string | undefined;
}

/**
 * Reads one `--reporter`: `NAME`, `NAME=FILE`, or several of them with commas in between. `-` as file is the standard
 * output. Throws `RangeError` for a name that is none.
 */
export function readReporters(text: string): ReporterChoice[] {
  // A comma may also be part of a file's name.
  const parts = text.split(new RegExp(`,(?=(?:${REPORTER_NAMES.join('|')})(?:[,=]|$))`));
  return parts.map((part) => {
    const [, name = '', file] = /^([^=]*)(?:=(.*))?$/s.exec(part) ?? [];
    const known = REPORTER_NAMES.find((reporter) => reporter === name);
    if (known === undefined) throw new RangeError(`One of ${REPORTER_NAMES.join(', ')}, each with =FILE or without.`);
    if (file === '') throw new RangeError(`${name}= lacks the file.`);
    return { name: known, file: file === '-' ? undefined : file };
  });
}

/** What is wrong with several reporters together; `undefined` where nothing is. */
export function conflictOf(choices: readonly ReporterChoice[]): string | undefined {
  const files = choices.flatMap(({ file }) => file ?? []);
  const twice = files.find((file, at) => files.indexOf(file) !== at);
  if (twice !== undefined) return `two reporters write to ${twice}: give each a file of its own`;
  const shown = choices.filter(({ file }) => file === undefined).map(({ name }) => name);
  const alone = shown.find((name) => !SHARES.has(name));
  if (alone === undefined || shown.length === 1) return undefined;
  return `${shown.join(' and ')} would write into each other: give ${alone} a file, --reporter ${alone}=FILE`;
}
