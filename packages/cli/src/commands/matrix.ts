import { resolve } from 'node:path';
import { installedDeviceTypes, loadOffers, type Profile, type ResolutionOptions } from '@virtio-platform/profile';
import { DEFAULT_OFFERS, negotiationMatrix } from '@virtio-platform/runner';
import { loadRuns } from '../checked-runs.ts';
import { onEmbeddedMachine } from '../embedded-machine.ts';
import { ExitStatus } from '../exit-status.ts';
import { matrixCsv } from '../matrix/matrix-csv.ts';
import { matrixHtml } from '../matrix/matrix-html.ts';
import { matrixMarkdown } from '../matrix/matrix-markdown.ts';
import { matrixView } from '../matrix/matrix-view.ts';
import { printMatrixTable } from '../matrix/print-matrix-table.ts';
import { pluginBases } from '../plugin-bases.ts';
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
 * error.
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
  const loaded: Profile[][] = [];
  for (const path of paths) loaded.push(await loadRuns(path, plugins));
  // Without a profile named, one run for each platform: the others differ in what does not matter here.
  const profiles = files.length > 0 ? loaded.flat() : loaded.map(([first]) => ({ ...first!, name: baseName(first!) }));
  const embedded = profiles.map(onEmbeddedMachine);
  const found = await negotiationMatrix(options.experimental === true ? embedded.map(experiment) : embedded, offers);
  const rows = printableData(found);
  const view = matrixView(rows);
  const showRules = options.rules === true;
  if (options.json === true) terminal.printJson(found);
  else if (options.format === 'html') terminal.print(matrixHtml(view));
  else if (options.format === 'csv') terminal.print(matrixCsv(rows));
  else if (options.format === 'markdown') terminal.print(matrixMarkdown(view, showRules));
  else printMatrixTable(terminal, view, showRules);
  return ExitStatus.AsExpected;
}

function experiment(profile: Profile): Profile {
  return { ...profile, policy: { ...profile.policy, experimental: true } };
}

/** A run's name without what tells it from the others of its profile. */
function baseName({ name }: Profile): string {
  return name.split(' [', 1)[0]!;
}
