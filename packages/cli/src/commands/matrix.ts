import { resolve } from 'node:path';
import { installedDeviceTypes, loadOffers, type Profile, type ResolutionOptions } from '@virtio-platform/profile';
import { DEFAULT_OFFERS, negotiationMatrix, type MatrixRow } from '@virtio-platform/runner';
import { eachRun } from '../checked-runs.ts';
import { onEmbeddedMachine } from '../embedded-machine.ts';
import { ExitStatus, worstStatus } from '../exit-status.ts';
import { matrixCsv } from '../matrix/matrix-csv.ts';
import { matrixHtml } from '../matrix/matrix-html.ts';
import { matrixMarkdown } from '../matrix/matrix-markdown.ts';
import { matrixView } from '../matrix/matrix-view.ts';
import { printMatrixTable } from '../matrix/print-matrix-table.ts';
import { pluginBases } from '../plugin-bases.ts';
import { printError } from '../print-error.ts';
import { shippedPlatforms } from '../shipped-profiles.ts';
import { printableData, type Terminal } from '../terminal.ts';

/** The formats of `matrix --format`. */
export const MATRIX_FORMATS = ['table', 'markdown', 'csv', 'html'] as const;

/** The options of `matrix`. */
export interface MatrixOptions {
  /** A file of offers; sixteen of ours without it. */
  readonly offers?: string;
  readonly format: (typeof MATRIX_FORMATS)[number];
  /** Shows which rule decided each cell. */
  readonly rules?: boolean;
  /** Turns the experimental features on, whatever the profiles say. */
  readonly experimental?: boolean;
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
): Promise<ExitStatus> {
  const offers =
    options.offers === undefined
      ? DEFAULT_OFFERS
      : await loadOffers(resolve(terminal.cwd, options.offers), await installedDeviceTypes(pluginBases(terminal.cwd)));
  const paths = files.length > 0 ? files.map((file) => resolve(terminal.cwd, file)) : shippedPlatforms();
  const asked = (profile: Profile): Promise<readonly MatrixRow[]> => {
    const embedded = onEmbeddedMachine(profile);
    return negotiationMatrix([options.experimental === true ? experiment(embedded) : embedded], offers);
  };
  const found: MatrixRow[] = [];
  let status: ExitStatus = ExitStatus.AsExpected;
  for (const path of paths) {
    const { results, errors } = await eachRun(path, plugins, asked);
    for (const error of errors) status = worstStatus(status, printError(terminal, error, options.json === true));
    // Without a profile named, one run for each platform: the others differ in what does not matter here.
    const ofPath = results.flat();
    found.push(...(files.length > 0 ? ofPath : ofPath.slice(0, 1).map(named)));
  }
  if (found.length === 0) return status;
  const rows = printableData(found);
  const view = matrixView(rows);
  const showRules = options.rules === true;
  if (options.json === true) terminal.printJson(found);
  else if (options.format === 'html') terminal.print(matrixHtml(view));
  else if (options.format === 'csv') terminal.print(matrixCsv(rows));
  else if (options.format === 'markdown') terminal.print(matrixMarkdown(view, showRules));
  else printMatrixTable(terminal, view, showRules);
  return status;
}

function experiment(profile: Profile): Profile {
  return { ...profile, policy: { ...profile.policy, experimental: true } };
}

/** The row of a run by its name without what tells it from the others of its profile. */
function named(row: MatrixRow): MatrixRow {
  return { ...row, profile: row.profile.split(' [', 1)[0]! };
}
