import { closeSync, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs';

/** Bytes from the end of the output that messages show. */
const TAIL_BYTES = 4096;
/** Bytes above which the file is emptied. */
const LARGEST_FILE = 0x1_0000;
const TRIM_INTERVAL_MS = 500;

/**
 * The error output of a program, in a file: this process can read it without its event loop, and the program never
 * waits for a reader. A timer keeps the file small, however much the program prints.
 */
export class ErrorOutput {
  readonly #path: string;
  #timer: NodeJS.Timeout | undefined;
  /** The end of the file at the time when it was emptied. */
  #kept: Buffer = Buffer.alloc(0);

  /** `path` is in a folder that the caller removes. */
  constructor(path: string) {
    this.#path = path;
  }

  /**
   * Opens the file for the program, to append: after the file was emptied, the program writes at its start. The caller
   * closes the descriptor.
   */
  open(): number {
    const file = openSync(this.#path, 'a', 0o600);
    this.#timer ??= setInterval(() => this.#trim(), TRIM_INTERVAL_MS).unref();
    return file;
  }

  /** The last {@link TAIL_BYTES} of the output. */
  stderrTail(): string {
    let tail = this.#kept;
    this.#withFile((file, size) => (tail = this.#read(file, size)));
    return tail.toString('utf8').trim();
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
    const bytes = Buffer.alloc(Math.min(size, TAIL_BYTES));
    const length = readSync(file, bytes, 0, bytes.length, size - bytes.length);
    return Buffer.concat([this.#kept, bytes.subarray(0, length)]).subarray(-TAIL_BYTES);
  }

  /** Never throws: a file that cannot be opened adds nothing to the output. */
  #withFile(use: (file: number, size: number) => void): void {
    try {
      const file = openSync(this.#path, 'r+');
      try {
        use(file, fstatSync(file).size);
      } finally {
        closeSync(file);
      }
    } catch {
      // The output that was kept is still there.
    }
  }
}
