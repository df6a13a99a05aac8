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
  /** Gives up what is in a range: reads may return anything from then on. */
  discard(offset: number, length: number): void;
  /** Makes a range read as zeroes; `mayUnmap` allows to give up the storage too. */
  writeZeroes(offset: number, length: number, mayUnmap: boolean): void;
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
const ZEROES = new Uint8Array(CHUNK);

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

  /** Gives up whole chunks, which are zero then; the rest stays. */
  discard(offset: number, length: number): void {
    const first = Math.ceil(offset / CHUNK);
    const end = Math.floor((offset + length) / CHUNK);
    if (end - first <= this.#chunks.size) {
      for (let index = first; index < end; index++) this.#chunks.delete(index);
    } else {
      for (const index of this.#chunks.keys()) if (index >= first && index < end) this.#chunks.delete(index);
    }
  }

  writeZeroes(offset: number, length: number, mayUnmap: boolean): void {
    if (mayUnmap) this.discard(offset, length);
    const first = Math.floor(offset / CHUNK);
    const end = Math.ceil((offset + length) / CHUNK);
    if (end - first <= this.#chunks.size) {
      for (let index = first; index < end; index++) this.#zero(index, offset, length);
    } else {
      for (const index of this.#chunks.keys()) this.#zero(index, offset, length);
    }
  }

  #zero(index: number, offset: number, length: number): void {
    const from = Math.max(0, offset - index * CHUNK);
    const to = Math.min(CHUNK, offset + length - index * CHUNK);
    if (from < to) this.#chunks.get(index)?.fill(0, from, to);
  }

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

  /** Keeps what is there: Node.js cannot give back a part of a file. */
  discard(_offset: number, _length: number): void {}

  writeZeroes(offset: number, length: number, _mayUnmap: boolean): void {
    for (let done = 0; done < length; done += ZEROES.length) {
      this.write(offset + done, ZEROES, 0, Math.min(ZEROES.length, length - done));
    }
  }

  resize(capacity: number): void {
    ftruncateSync(this.#descriptor, capacity);
    this.capacity = capacity;
  }

  dispose(): void {
    closeSync(this.#descriptor);
  }
}
