import type { CodedError } from '@virtio-platform/core';
import type { Terminal } from '../terminal.ts';
import type { BlobEnd, BlobEntry, BlobError, BlobSource } from '../blob/blob-lines.ts';
import type { EndedRun, Reporter, RunSummary } from './reporter.ts';

/** For `run --merge`: all that a command tells of its runs, in lines of JSON. The last one says that it has ended. */
export class BlobReporter implements Reporter {
  readonly #terminal: Terminal;
  readonly #source: BlobSource;

  constructor(terminal: Terminal, source: BlobSource) {
    this.#terminal = terminal;
    this.#source = source;
    terminal.printJsonLine(source.head());
  }

  ended({ planned, report, error }: EndedRun): void {
    this.#terminal.printJsonLine({
      run: this.#source.placeOf(planned),
      error: blobError(planned.error ?? error),
      isMade: planned.error === undefined,
      report,
    } satisfies BlobEntry);
  }

  amended(run: EndedRun): void {
    this.ended(run);
  }

  end({ earlyEnd, durationMs, status }: RunSummary): void {
    const end = { durationMs: Math.round(durationMs), status, earlyEnd: earlyEnd ?? null };
    this.#terminal.printJsonLine({ end } satisfies BlobEnd);
  }
}

function blobError(error: CodedError | undefined): BlobError | null {
  if (error === undefined) return null;
  const { code, message, hint = null } = error;
  return { code, message, hint, issues: 'issues' in error && Array.isArray(error.issues) ? error.issues : [] };
}
