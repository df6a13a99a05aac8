import { resolve } from 'node:path';
import { printable } from '@virtio-platform/core';
import {
  checkPlugins,
  installedDeviceTypes,
  loadOffers,
  type Profile,
  type ProfileSource,
  type ResolutionOptions,
} from '@virtio-platform/profile';
import { DEFAULT_OFFERS, negotiationMatrix, type MatrixRow } from '@virtio-platform/runner';
import { eachRun } from '../checked-runs.ts';
import { onEmbeddedMachine } from '../embedded-machine.ts';
import { ExitStatus, worstStatus } from '../exit-status.ts';
import { compareMatrices, type MatrixChange } from '../matrix/compare-matrices.ts';
import { comparisonCsv, matrixCsv } from '../matrix/matrix-csv.ts';
import { matrixHtml } from '../matrix/matrix-html.ts';
import { matrixMarkdown } from '../matrix/matrix-markdown.ts';
import { matrixView } from '../matrix/matrix-view.ts';
import { comparisonMarkdown, printComparison } from '../matrix/print-comparison.ts';
import { readMatrix } from '../matrix/read-matrix.ts';
import { printMatrixTable } from '../matrix/print-matrix-table.ts';
import type { MatrixFormat } from '../matrix/matrix-formats.ts';
import { pluginBases } from '../plugin-bases.ts';
import { printError } from '../print-error.ts';
import { shippedPlatforms } from '../shipped-profiles.ts';
import { ProfileWords, type TextInput } from '../run/profile-sources.ts';
import { printableData, type Terminal } from '../terminal.ts';

/** The options of `matrix`. */
export interface MatrixOptions {
  /** A file of offers; sixteen of ours without it. */
  readonly offers?: string;
  readonly format: MatrixFormat;
  /** Shows what decided each cell. */
  readonly rules?: boolean;
  /** Turns the experimental features on, whatever the profiles say. */
  readonly experimental?: boolean;
  /** A matrix that was written with `--json`, or a profile: what the cells were before. */
  readonly compare?: string;
  /** With {@link compare}: exits with 1 where something changed. */
  readonly exitCode?: boolean;
  readonly json?: boolean;
}

/**
 * `matrix [profile...]`: what each offer comes to under each platform. Starts nothing. A refusal is an answer, not an
 * error; a run whose plugins are wrong is left out, with its error.
 */
export async function matrixCommand(
  terminal: Terminal,
  files: readonly string[],
  options: MatrixOptions,
  plugins: ResolutionOptions,
  input: TextInput | undefined,
): Promise<ExitStatus> {
  const asked = await askedMatrix(terminal, files, options, plugins);
  const asJson = options.json === true;
  const named = new ProfileWords(terminal.cwd, input);
  const found = await matrixOf(terminal, files, named, asked, asJson);
  let { status } = found;
  if (found.rows.length === 0) return status;
  if (options.compare === undefined) {
    printMatrix(terminal, found.rows, options, []);
    return status;
  }
  const before = await matrixOf(terminal, [options.compare], named, asked, asJson);
  status = worstStatus(status, before.status);
  if (before.rows.length === 0) return status;
  const changes = compareMatrices(before.rows, found.rows);
  printChanges(terminal, changes, found.rows, options);
  return options.exitCode === true && changes.length > 0 ? worstStatus(status, ExitStatus.Differed) : status;
}

/** Finds the rows of a profile. */
type RowsOfProfile = (source: ProfileSource) => ReturnType<typeof eachRun<readonly MatrixRow[]>>;

/** What the command asks of each profile: the offers, and whether the experiment is on. */
async function askedMatrix(
  terminal: Terminal,
  files: readonly string[],
  { offers: file, experimental = false, compare }: MatrixOptions,
  plugins: ResolutionOptions,
): Promise<RowsOfProfile> {
  // A stored matrix has its offers in it.
  const isStored = files.length > 0 && [...files, compare ?? ''].every((name) => isMatrixFile(name));
  const offers =
    file === undefined || isStored
      ? DEFAULT_OFFERS
      : await loadOffers(resolve(terminal.cwd, file), await installedDeviceTypes(pluginBases(terminal.cwd)));
  return (source) =>
    eachRun(source, { ...plugins, baseDirectory: terminal.cwd }, async (profile) => {
      const embedded = await onEmbeddedMachine(profile, await checkPlugins(profile, plugins));
      return await negotiationMatrix([experimental ? experiment(embedded) : embedded], offers);
    });
}

/** The rows of profiles and of stored matrices, and of the shipped platforms without either. */
async function matrixOf(
  terminal: Terminal,
  files: readonly string[],
  named: ProfileWords,
  rowsOf: RowsOfProfile,
  asJson: boolean,
): Promise<{ readonly rows: readonly MatrixRow[]; readonly status: ExitStatus }> {
  const rows: MatrixRow[] = [];
  let status: ExitStatus = ExitStatus.AsExpected;
  const sources: ProfileSource[] = files.length > 0 ? [] : shippedPlatforms();
  for (const file of files)
    sources.push(...(isMatrixFile(file) ? [resolve(terminal.cwd, file)] : await named.of(file)));
  for (const source of sources) {
    if (typeof source === 'string' && isMatrixFile(source)) {
      rows.push(...readMatrix(source));
      continue;
    }
    const { results, errors } = await rowsOf(source);
    for (const error of errors) status = worstStatus(status, printError(terminal, error, asJson));
    // Without a profile named, one run for each platform: the others differ in what does not matter here.
    const runs = files.length > 0 ? withoutTwins(results) : results.slice(0, 1).map((run) => run.map(withoutLabel));
    rows.push(...runs.flat());
  }
  return { rows, status };
}

function isMatrixFile(path: string): boolean {
  return path.endsWith('.json');
}

function printMatrix(
  terminal: Terminal,
  found: readonly MatrixRow[],
  { json, format, rules: showRules = false }: MatrixOptions,
  changes: readonly MatrixChange[],
): void {
  if (json === true) return terminal.printJson(found);
  const rows = printableData(found);
  const view = matrixView(rows);
  if (format === 'html') terminal.print(matrixHtml(view, changes));
  else if (format === 'csv') terminal.print(matrixCsv(rows));
  else if (format === 'markdown') terminal.print(matrixMarkdown(view, showRules));
  else printMatrixTable(terminal, view, showRules);
}

function printChanges(
  terminal: Terminal,
  found: readonly MatrixChange[],
  rows: readonly MatrixRow[],
  options: MatrixOptions,
): void {
  if (options.json === true) return terminal.printJson(found);
  const changes = printableData(found);
  if (options.format === 'html') printMatrix(terminal, rows, options, changes);
  else if (options.format === 'csv') terminal.print(comparisonCsv(changes));
  else if (options.format === 'markdown') terminal.print(comparisonMarkdown(changes));
  else printComparison(terminal, changes, printable(options.compare ?? ''));
}

function experiment(profile: Profile): Profile {
  return { ...profile, policy: { ...profile.policy, experimental: true } };
}

/** The row of a run by its name without what tells it from the others of its profile. */
function withoutLabel(row: MatrixRow): MatrixRow {
  return { ...row, profile: row.profile.split(' [', 1)[0]! };
}

/** The runs of a profile, those that differ in their layout alone once: each has the rows of both layouts. */
function withoutTwins(runs: readonly (readonly MatrixRow[])[]): readonly (readonly MatrixRow[])[] {
  const distinct = new Map<string, readonly MatrixRow[]>();
  for (const run of runs) {
    const rows = run.map((row) => ({ ...row, profile: withoutLayout(row.profile) }));
    const name = rows[0]?.profile ?? '';
    if (!distinct.has(name)) distinct.set(name, rows);
  }
  return [...distinct.values()];
}

/** `p [queue.layout=split, queue.size=8]` is `p [queue.size=8]`. */
function withoutLayout(profile: string): string {
  return profile
    .replace(/(?<=[[ ])queue\.layout=\w+(?:, )?/, '')
    .replace(/, \]$/, ']')
    .replace(/ \[\]$/, '');
}
