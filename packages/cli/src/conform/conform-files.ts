import { resolve } from 'node:path';
import type { ConformReport } from '@virtio-platform/conform';
import { printableData } from '../terminal.ts';
import { ReportFile } from '../reporters/report-file.ts';
import { conformJunit } from './conform-junit.ts';
import { conformPage, type ConformPageOptions } from './conform-page.ts';
import { commandFor } from './conform-printer.ts';

/** The files of one command, by their options. */
export interface ConformFileNames {
  readonly junit?: string | undefined;
  readonly html?: string | undefined;
}

/** The files that `conform` writes beside its output. They are made before the first case runs. */
export class ConformFiles {
  readonly #junit: ReportFile | undefined;
  readonly #html: ReportFile | undefined;

  /** Names are relative to `cwd`. Throws {@link CodedError} `ERR_RUN_REPORT` where a file cannot be made. */
  constructor(cwd: string, { junit, html }: ConformFileNames) {
    this.#junit = junit === undefined ? undefined : new ReportFile(resolve(cwd, junit), '--junit');
    try {
      this.#html = html === undefined ? undefined : new ReportFile(resolve(cwd, html), '--html');
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Writes a report. `command` runs all cases again. Throws {@link CodedError} `ERR_RUN_REPORT`. */
  write(report: ConformReport, options: Omit<ConformPageOptions, 'again'>): void {
    const again = (id: string): string => commandFor(options.command, id);
    const shown = printableData(report);
    this.#junit?.write(conformJunit(shown, options.startedAt, again));
    this.#html?.write(conformPage(shown, { ...options, again }));
    const [error] = this.close();
    if (error !== undefined) throw error;
  }

  /** Closes the files. Returns what could not be written. */
  close(): readonly Error[] {
    return [this.#junit, this.#html].flatMap((file) => file?.close() ?? []);
  }
}
