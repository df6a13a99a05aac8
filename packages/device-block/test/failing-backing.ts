/** A disk in memory that fails as a file does: every call of these kinds throws the error. */
export class FailingBacking extends SparseBacking implements BlockBacking {
  readonly #kinds: readonly ('read' | 'write' | 'flush')[];
  readonly #error: () => Error;

  constructor(capacity: number, kinds: readonly ('read' | 'write' | 'flush')[], error: () => Error) {
    super(capacity);
    this.#kinds = kinds;
    this.#error = error;
  }

  override read(offset: number, target: Uint8Array, at: number, length: number): void {
    this.#fail('read');
    super.read(offset, target, at, length);
  }

  override write(offset: number, source: Uint8Array, at: number, length: number): void {
    this.#fail('write');
    super.write(offset, source, at, length);
  }

  override flush(): void {
    this.#fail('flush');
  }

  #fail(kind: 'read' | 'write' | 'flush'): void {
    if (this.#kinds.includes(kind)) throw this.#error();
  }
}

/** An error as the file system throws it. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: no space left on device, write`), { code });
}
import { SparseBacking, type BlockBacking } from '@virtio-platform/device-block';
