import { closeSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { CodedError, messageOf } from '@virtio-platform/core';
import { makeFolder } from '../make-folder.ts';
import type { TextStream } from '../terminal.ts';

/** A file that is written as the runs go on. An error while writing is kept, and ends nothing. */
export class ReportFile implements TextStream {
  readonly #path: string;
  readonly #option: string;
  #descriptor: number | undefined;
  #error: CodedError | undefined;

  /** `option` is the one that names the file. Makes the folders. Throws {@link CodedError} `ERR_RUN_REPORT`. */
  constructor(path: string, option: string) {
    this.#path = path;
    this.#option = option;
    try {
      makeFolder(dirname(path));
      this.#descriptor = openSync(path, 'w');
    } catch (error) {
      throw this.#coded(error);
    }
  }

  /** Writes all of the text. */
  write(text: string, done?: () => void): boolean {
    try {
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length && this.#descriptor !== undefined;)
        at += writeSync(this.#descriptor, bytes, at);
    } catch (error) {
      this.#error ??= this.#coded(error);
    }
    done?.();
    return true;
  }

  /** Closes the file. Returns what could not be written. */
  close(): readonly CodedError[] {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
    return this.#error === undefined ? [] : [this.#error];
  }

  #coded(error: unknown): CodedError {
    return new CodedError('ERR_RUN_REPORT', `${this.#path} cannot be written: ${messageOf(error)}`, {
      hint: `give ${this.#option} another file`,
      cause: error,
    });
  }
}
