import { resolve } from 'node:path';

/** The names of the reporters, as they are listed. */
export const REPORTER_NAMES = ['list', 'table', 'json', 'ndjson', 'junit', 'tap', 'sarif', 'github', 'blob'] as const;

/** The name of a reporter. */
export type ReporterName = (typeof REPORTER_NAMES)[number];

/** Those that programs read as they are written. */
const FOR_PROGRAMS: ReadonlySet<ReporterName> = new Set(['json', 'ndjson']);

/** Those that people read as they are written. */
const FOR_PEOPLE: ReadonlySet<ReporterName> = new Set(['list', 'table']);

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

/** Who reads the standard output: whether errors are JSON too, and where people are told of what goes on. */
export function audienceOf(choices: readonly ReporterChoice[]): {
  readonly asJson: boolean;
  readonly progress: 'output' | 'errors' | 'none';
} {
  const shown = choices.filter(({ file }) => file === undefined).map(({ name }) => name);
  const asJson = shown.some((name) => FOR_PROGRAMS.has(name));
  if (asJson) return { asJson, progress: 'none' };
  return { asJson, progress: shown.some((name) => FOR_PEOPLE.has(name)) ? 'output' : 'errors' };
}

/**
 * What is wrong with several reporters together, and with the other files that a run writes, by their options;
 * `undefined` where nothing is.
 */
export function conflictOf(
  choices: readonly ReporterChoice[],
  others: Readonly<Record<string, string | undefined>> = {},
): string | undefined {
  const files = [
    ...choices.map(({ name, file }) => ({ by: `--reporter ${name}`, file })),
    ...Object.entries(others).map(([by, file]) => ({ by, file })),
  ].flatMap(({ by, file }) => (file === undefined ? [] : [{ by, file, path: resolve(file) }]));
  for (const [at, { by, file, path }] of files.entries()) {
    const first = files.slice(0, at).find((before) => before.path === path);
    if (first !== undefined) return `${first.by} and ${by} both write to ${file}: give each a file of its own`;
  }
  const shown = choices.filter(({ file }) => file === undefined).map(({ name }) => name);
  const alone = shown.find((name) => !SHARES.has(name));
  if (alone === undefined || shown.length === 1) return undefined;
  return `${shown.join(' and ')} would write into each other: give ${alone} a file, --reporter ${alone}=FILE`;
}
