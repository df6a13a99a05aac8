import { randomFillSync } from 'node:crypto';
import { xorshift32 } from '@virtio-platform/device-kit';

/** Where an entropy device takes its bytes from. */
export interface EntropySource {
  /** Begins with the first buffer again, as a device does after a reset. */
  restart(): void;
  /** Begins the next buffer. */
  begin(): void;
  /** Fills the first `length` bytes of `target` with what comes next in the buffer. */
  fill(target: Uint8Array, length: number): void;
}

/** Bytes of the kernel's random number generator. */
export class RandomSource implements EntropySource {
  restart(): void {}

  begin(): void {}

  fill(target: Uint8Array, length: number): void {
    randomFillSync(target, 0, length);
  }
}

/**
 * Bytes that only look random, the same in every run: those of {@link SeededBytes}, with the number of the buffer as
 * counter.
 */
export class SeededSource implements EntropySource {
  readonly #bytes: SeededBytes;
  #counter = 0;

  constructor(seed: number) {
    this.#bytes = new SeededBytes(seed);
  }

  restart(): void {
    this.#counter = 0;
  }

  begin(): void {
    this.#bytes.begin(this.#counter++);
  }

  fill(target: Uint8Array, length: number): void {
    for (let i = 0; i < length; i++) target[i] = this.#bytes.next();
  }
}

/**
 * The stream of bytes in one buffer of a seeded device: its counter in 4 little-endian bytes, then xorshift32. The
 * counter lets a reader check every buffer by itself, in whatever order they came. Hot: no allocation.
 */
export class SeededBytes {
  readonly #seed: number;
  #counter = 0;
  #state = 1;
  #at = 0;

  /** `seed` is 32 bits wide. */
  constructor(seed: number) {
    this.#seed = seed;
  }

  begin(counter: number): void {
    this.#counter = counter;
    // Never 0, which xorshift does not leave.
    this.#state = this.#seed ^ Math.imul(counter + 1, 0x9e37_79b1) || 1;
    this.#at = 0;
  }

  next(): number {
    if (this.#at < 4) return (this.#counter >>> (8 * this.#at++)) & 0xff;
    this.#state = xorshift32(this.#state);
    return this.#state & 0xff;
  }
}
