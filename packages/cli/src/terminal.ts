import pc from 'picocolors';

type Colors = ReturnType<typeof pc.createColors>;

/** The streams of a command, as `process` has them. */
export interface OutputStreams {
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean };
  /** Folder that relative paths of the user are resolved against. */
  readonly cwd: string;
}

/** Where a command prints: colour only on a terminal, and not where NO_COLOR is set. */
export class Terminal {
  readonly columns: number;
  readonly cwd: string;
  readonly colors: Colors;
  readonly errorColors: Colors;
  readonly #streams: OutputStreams;

  constructor(streams: OutputStreams) {
    const isPlain = (process.env['NO_COLOR'] ?? '') !== '';
    this.#streams = streams;
    this.cwd = streams.cwd;
    this.columns = streams.stdout.columns ?? Infinity;
    this.colors = pc.createColors(streams.stdout.isTTY === true && !isPlain);
    this.errorColors = pc.createColors(streams.stderr.isTTY === true && !isPlain);
  }

  get showsProgress(): boolean {
    return this.#streams.stderr.isTTY === true;
  }

  print(text: string): void {
    this.#streams.stdout.write(`${text}\n`);
  }

  printJson(value: unknown): void {
    this.print(JSON.stringify(value, undefined, 2));
  }

  printError(text: string): void {
    this.#streams.stderr.write(`${text}\n`);
  }

  /** Replaces the line the cursor is in, on standard error; an empty text clears it. */
  showLine(text: string): void {
    this.#streams.stderr.write(`\r\u001B[K${text}`);
  }
}
