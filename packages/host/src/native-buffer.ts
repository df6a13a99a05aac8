import { libc } from './libc.ts';

/** Bytes outside the JavaScript heap with an address to give to the C library: message headers, structures. */
export class NativeBuffer {
  readonly size: number;
  readonly #address: bigint;
  #bytes: DataView | undefined;

  constructor(size: number) {
    this.size = size;
    this.#address = libc().allocate(size);
    this.#bytes = new DataView(libc().view(this.#address, size));
    new Uint8Array(this.#bytes.buffer).fill(0);
  }

  /** Throws `TypeError` after `dispose`, as `address` does: the bytes are no longer there. */
  get bytes(): DataView {
    if (this.#bytes === undefined) throw new TypeError('this native buffer was given back');
    return this.#bytes;
  }

  get address(): bigint {
    if (this.#bytes === undefined) throw new TypeError('this native buffer was given back');
    return this.#address;
  }

  dispose(): void {
    if (this.#bytes === undefined) return;
    this.#bytes = undefined;
    libc().free(this.#address);
  }
}
