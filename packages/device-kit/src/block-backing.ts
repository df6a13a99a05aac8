import { closeSync, fsyncSync, ftruncateSync, readSync, writeSync } from 'node:fs';
import { isCodedError } from '@virtio-platform/core';
import { copyBytes } from '@virtio-platform/core/address-space';
import { openImage } from './image-file.ts';

/** Where a block device keeps its bytes. Ranges were checked by its caller. */
export interface BlockBacking {
  /** Bytes. */
  readonly capacity: number;
  read(offset: number, target: Uint8Array, at: number, length: number): void;
  write(offset: number, source: Uint8Array, at: number, length: number): void;
  flush(): void;
  /** Gives it another capacity, in bytes: bytes beyond a smaller one are gone, new ones are zero. */
  resize(capacity: number): void;
  dispose(): void;
}

/** Whether an error is of the backing: coded, or of the operating system, whose `code` is a name such as `ENOSPC`. */
export function isBackingError(error: unknown): boolean {
  if (isCodedError(error)) return true;
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && /^E[A-Z0-9]+$/.test(error.code);
}

const CHUNK = 0x1_0000;

/** Keeps chunks of 64 KiB once they were written; the rest reads as zero. */
export class SparseBacking implements BlockBacking {
  capacity: number;
  readonly #chunks = new Map<number, Uint8Array>();

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  read(offset: number, target: Uint8Array, at: number, length: number): void {
    for (let done = 0; done < length;) {
      const inChunk = (offset + done) % CHUNK;
      const run = Math.min(length - done, CHUNK - inChunk);
      const chunk = this.#chunks.get((offset + done - inChunk) / CHUNK);
      if (chunk === undefined) target.fill(0, at + done, at + done + run);
      else copyBytes(target, at + done, chunk, inChunk, run);
      done += run;
    }
  }

  write(offset: number, source: Uint8Array, at: number, length: number): void {
    for (let done = 0; done < length;) {
      const inChunk = (offset + done) % CHUNK;
      const run = Math.min(length - done, CHUNK - inChunk);
      const index = (offset + done - inChunk) / CHUNK;
      let chunk = this.#chunks.get(index);
      if (chunk === undefined) this.#chunks.set(index, (chunk = new Uint8Array(CHUNK)));
      copyBytes(chunk, inChunk, source, at + done, run);
      done += run;
    }
  }

  flush(): void {}

  resize(capacity: number): void {
    this.capacity = capacity;
    const last = Math.floor(capacity / CHUNK);
    this.#chunks.get(last)?.fill(0, capacity % CHUNK);
    for (const index of this.#chunks.keys()) if (index > last) this.#chunks.delete(index);
  }

  dispose(): void {
    this.#chunks.clear();
  }
}

/** Keeps the bytes in a raw image file, which {@link openImage} opens, locks and creates. */
export class FileBacking implements BlockBacking {
  capacity: number;
  readonly #descriptor: number;

  /** `overwrite` allows a file of another size. Throws `ERR_DEVICE_IMAGE`. */
  constructor(path: string, capacity: number, readOnly: boolean, overwrite: boolean = false) {
    this.capacity = capacity;
    this.#descriptor = openImage(path, { capacity, readOnly, overwrite });
  }

  read(offset: number, target: Uint8Array, at: number, length: number): void {
    const read = readSync(this.#descriptor, target, at, length, offset);
    target.fill(0, at + read, at + length);
  }

  write(offset: number, source: Uint8Array, at: number, length: number): void {
    for (let done = 0; done < length;) {
      done += writeSync(this.#descriptor, source, at + done, length - done, offset + done);
    }
  }

  flush(): void {
    fsyncSync(this.#descriptor);
  }

  resize(capacity: number): void {
    ftruncateSync(this.#descriptor, capacity);
    this.capacity = capacity;
  }

  dispose(): void {
    closeSync(this.#descriptor);
  }
}
