import { SparseBacking, type BlockBacking } from '@virtio-platform/device-block';

type FailingCall = 'read' | 'write' | 'flush' | 'resize';

/** A disk in memory that fails as a file does: every call of these kinds throws the error. */
export class FailingBacking extends SparseBacking implements BlockBacking {
  readonly #kinds: readonly FailingCall[];
  readonly #error: () => Error;

  constructor(capacity: number, kinds: readonly FailingCall[], error: () => Error) {
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

  override resize(capacity: number): void {
    this.#fail('resize');
    super.resize(capacity);
  }

  #fail(kind: FailingCall): void {
    if (this.#kinds.includes(kind)) throw this.#error();
  }
}

/** An error as the file system throws it. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: no space left on device, write`), { code });
}
