import { closeSync, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs';

/** How much of what was printed last is kept for messages. */
const LAST_WORDS_BYTES = 4096;
/** A file that is larger is emptied. */
const LARGEST_FILE = 0x1_0000;
const TRIM_INTERVAL_MS = 500;

/**
 * The error output of a program, in a file: so it can be read while this process waits in a system call, and the program never
 * waits for a reader. While the event loop runs the file stays small, whatever the program prints.
 */
export class ErrorOutput {
  readonly #path: string;
  #timer: NodeJS.Timeout | undefined;
  /** The end of what was in the file when it was emptied. */
  #kept: Buffer = Buffer.alloc(0);

  /** The file is in a folder of the caller's, who removes it. */
  constructor(path: string) {
    this.#path = path;
  }

  /** Opens the file for the program. It appends, and so begins at the start again when the file was emptied. The caller closes it. */
  open(): number {
    const file = openSync(this.#path, 'a', 0o600);
    this.#timer ??= setInterval(() => this.#trim(), TRIM_INTERVAL_MS).unref();
    return file;
  }

  /** The end of what was printed. */
  lastWords(): string {
    let words = this.#kept;
    this.#withFile((file, size) => (words = this.#read(file, size)));
    return words.toString('utf8').trim();
  }

  dispose(): void {
    clearInterval(this.#timer);
  }

  #trim(): void {
    this.#withFile((file, size) => {
      if (size <= LARGEST_FILE) return;
      this.#kept = this.#read(file, size);
      ftruncateSync(file);
    });
  }

  #read(file: number, size: number): Buffer {
    const bytes = Buffer.alloc(Math.min(size, LAST_WORDS_BYTES));
    const length = readSync(file, bytes, 0, bytes.length, size - bytes.length);
    return Buffer.concat([this.#kept, bytes.subarray(0, length)]).subarray(-LAST_WORDS_BYTES);
  }

  /** Never throws: nobody can do anything about a file that is gone. */
  #withFile(use: (file: number, size: number) => void): void {
    try {
      const file = openSync(this.#path, 'r+');
      try {
        use(file, fstatSync(file).size);
      } finally {
        closeSync(file);
      }
    } catch {
      // What was kept still counts.
    }
  }
}
