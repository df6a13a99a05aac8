import { checkSignal } from '../device/check-arguments.ts';

/**
 * One request of a program, with its promise. The device may have several parts of it at once. It ends once, when the
 * device has none: until then its memory is the device's.
 */
export abstract class ClientRequest<Result = unknown> {
  readonly promise: Promise<Result>;
  /** Parts that the device has. */
  inFlight = 0;
  /** Whether it waits for its turn, or for the rest of its parts to be submitted. */
  isQueued = false;
  readonly #settled: { resolve(result: Result): void; reject(error: unknown): void };
  readonly #signal: AbortSignal | undefined;
  #onAbort: (() => void) | undefined;
  #failure: { readonly error: unknown } | undefined;
  #isEnded = false;

  /** Throws the reason of a signal that is aborted already, and `TypeError` for what is no signal. */
  constructor(signal: AbortSignal | undefined) {
    checkSignal(signal);
    signal?.throwIfAborted();
    let settled: { resolve(result: Result): void; reject(error: unknown): void };
    this.promise = new Promise((resolve, reject) => {
      settled = { resolve, reject };
    });
    this.#settled = settled!;
    this.#signal = signal;
  }

  /** Has `aborted` called where the signal is aborted before the request ends. */
  onAbort(aborted: () => void): void {
    this.#onAbort = () => {
      this.fail(this.#signal?.reason);
      aborted();
    };
    this.#signal?.addEventListener('abort', this.#onAbort, { once: true });
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Whether no more of it is to be submitted: a part failed, or the program aborted it. */
  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** Keeps the first error: the promise rejects with it, once the device has no part. */
  fail(error: unknown): void {
    this.#failure ??= { error };
  }

  /** Settles the promise: with the result, or with what failed. */
  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    if (this.#onAbort !== undefined) this.#signal?.removeEventListener('abort', this.#onAbort);
    if (this.#failure === undefined) this.#settled.resolve(this.result());
    else this.#settled.reject(this.#failure.error);
  }

  /** What the promise resolves with, once all parts came back. */
  protected abstract result(): Result;
}
