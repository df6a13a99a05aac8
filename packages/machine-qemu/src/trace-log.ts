import { closeSync, fstatSync, ftruncateSync, openSync, readSync } from 'node:fs';

/** How much of a log is kept. */
export interface TraceLogLimits {
  /** The most bytes that are read: its end. */
  readonly kept: number;
  /** Bytes on the disk above which the file is emptied. */
  readonly onDisk: number;
}

const LIMITS: TraceLogLimits = { kept: 32 * 2 ** 20, onDisk: 64 * 2 ** 20 };
const TRIM_INTERVAL_MS = 250;
/** Bytes in which the disk counts (stat(2)). */
const BLOCK = 512;

/**
 * A log that another program writes, of which the end is kept: a timer empties the file where it takes too much of the
 * disk. The program goes on at its own place, so that the file has a hole in front of what it writes then.
 */
export class TraceLog {
  readonly #path: string;
  readonly #limits: TraceLogLimits;
  readonly #timer: NodeJS.Timeout;
  /** The end of what was in the file before it was emptied. */
  #before: Buffer = Buffer.alloc(0);
  /** Bytes that were in the file and are not kept. */
  #missing = 0;

  /** `path` is in a folder that the caller removes. {@link end} ends the timer. */
  constructor(path: string, limits: TraceLogLimits = LIMITS) {
    this.#path = path;
    this.#limits = limits;
    this.#timer = setInterval(() => this.trim(), TRIM_INTERVAL_MS).unref();
  }

  /** Empties the file where it is too large on the disk. Never throws. */
  trim(): void {
    this.#withFile((file) => {
      if (fstatSync(file).blocks * BLOCK <= this.#limits.onDisk) return;
      this.#before = this.#readEnd(file);
      ftruncateSync(file);
    });
  }

  /** The end of the log, and how many bytes before it are missing. A log that is not there is empty. Never throws. */
  end(): { readonly text: string; readonly missing: number } {
    clearInterval(this.#timer);
    let bytes = this.#before;
    this.#withFile((file) => (bytes = this.#readEnd(file)));
    return { text: bytes.toString('latin1'), missing: this.#missing };
  }

  /** What was kept and what came then, without the hole between them. */
  #readEnd(file: number): Buffer {
    const { kept } = this.#limits;
    const { size } = fstatSync(file);
    const bytes = Buffer.alloc(Math.min(size, kept));
    const length = readSync(file, bytes, 0, bytes.length, size - bytes.length);
    const start = bytes.findIndex((byte) => byte !== 0);
    const written = start < 0 ? Buffer.alloc(0) : bytes.subarray(start, length);
    const end = Buffer.concat([this.#before, written]).subarray(-kept);
    // The program writes at its own place, so the size is of all that it wrote.
    this.#missing = Math.max(this.#missing, size - end.length);
    return end;
  }

  #withFile(use: (file: number) => void): void {
    try {
      const file = openSync(this.#path, 'r+');
      try {
        use(file);
      } finally {
        closeSync(file);
      }
    } catch {
      // What was kept is still there.
    }
  }
}
