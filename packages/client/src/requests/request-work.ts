import { mappingRefusal } from '@virtio-platform/core/dma';
import type { Virtqueue } from '@virtio-platform/core/queue';
import { ClientError, closedError } from '../client-error.ts';
import type { ClientRequest } from './client-request.ts';
import type { PumpWork } from '../device/device-pump.ts';
import { RequestQueue } from './request-queue.ts';

/** How often in a row a part may not be mappable while nothing is in flight: failures on purpose are no state. */
const MAX_FAILURES = 64;
/** Requests that may wait, unless the caller says otherwise. */
export const DEFAULT_MAX_QUEUED = 4096;

/** The requests of a device whose every request is answered: a disk, an entropy device. In order of their calls. */
export abstract class RequestWork<Request extends ClientRequest> implements PumpWork {
  protected readonly waiting: RequestQueue<Request> = new RequestQueue<Request>();
  readonly #name: string;
  readonly #maxQueued: number;
  /** Requests that the device has parts of, or had and that are not complete. */
  readonly #taken = new Set<Request>();
  #wake: () => void = () => {};
  #closed: { readonly cause?: unknown } | undefined;
  #failures = 0;
  #onRoom: (() => void)[] = [];
  #onIdle: (() => void)[] = [];

  /** `name` is the device type in messages. */
  constructor(name: string, maxQueued: number) {
    this.#name = name;
    this.#maxQueued = maxQueued;
  }

  /** Calls `wake` with each request from here on. */
  start(wake: () => void): void {
    this.#wake = wake;
  }

  /** Requests that were called and did not end. */
  get awaited(): number {
    return this.waiting.length + this.#taken.size;
  }

  /** Requests that wait for a buffer of the device. */
  get queued(): number {
    return this.waiting.length;
  }

  wants(_queue: Virtqueue): boolean {
    return true;
  }

  round(): number {
    let progress = this.collect();
    for (let request = this.waiting.peek(); request !== undefined; request = this.waiting.peek()) {
      const submitted = this.#submit(request);
      if (submitted === 0) break;
      progress += submitted;
    }
    if (progress > 0) {
      this.publish();
      this.#tell();
    }
    return progress;
  }

  /**
   * Queues a request. Throws {@link ClientError}: `ERR_CLIENT_CLOSED`, and `ERR_CLIENT_FULL` where too many wait
   * already.
   */
  protected add<Added extends Request>(request: Added): Added['promise'] {
    this.checkOpen();
    if (this.waiting.length >= this.#maxQueued)
      throw new ClientError(
        'ERR_CLIENT_FULL',
        `${this.waiting.length} requests to the ${this.#name} device wait already`,
        {
          hint: 'await `ready()` before a further request, or raise `maxQueued`',
        },
      );
    request.onAbort(() => this.#abort(request));
    request.isQueued = true;
    this.waiting.push(request);
    this.#wake();
    return request.promise;
  }

  /** Throws {@link ClientError} `ERR_CLIENT_CLOSED`. */
  checkOpen(): void {
    if (this.#closed !== undefined) throw closedError(this.#name, this.#closed.cause);
  }

  /** Resolves when a further request may be called without `ERR_CLIENT_FULL`. */
  async ready(): Promise<void> {
    while (this.#closed === undefined && this.waiting.length >= this.#maxQueued)
      await new Promise<void>((resolve) => this.#onRoom.push(resolve));
    this.checkOpen();
  }

  /** Takes no more requests, and resolves when all that were called ended. */
  async finish(): Promise<void> {
    this.#closed ??= {};
    this.#tell();
    if (this.awaited > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }

  /** Rejects everything. `cause` is the error that closed the client, where one did. */
  reject(error: unknown, cause?: unknown): void {
    this.#closed ??= cause === undefined ? {} : { cause };
    const all = [...this.#taken, ...this.waiting.clear()];
    this.#taken.clear();
    for (const request of all) {
      request.fail(error);
      request.end();
    }
    this.#tell();
  }

  /** A part of a request came back. */
  protected returned(request: Request): void {
    request.inFlight--;
    if (!request.hasFailed && !request.isQueued && !this.isSubmitted(request)) {
      // The device did less than was asked for: the rest is asked for again.
      request.isQueued = true;
      this.waiting.unshift(request);
    } else this.#endIfDone(request);
  }

  /** Takes back what the device returned, and returns how much. */
  protected abstract collect(): number;
  /** Submits the next part of a request. Returns 0, or a negative reason. Throws what no retry changes. */
  protected abstract submitPart(request: Request): number;
  /** Whether all parts of a request were submitted. */
  protected abstract isSubmitted(request: Request): boolean;
  /** Whether the device has anything that may free a buffer. */
  protected abstract get isBusy(): boolean;
  /** Shows what was submitted to the device. */
  protected abstract publish(): void;
  /** The program no longer wants a request that the device has parts of; a device may be able to end it. */
  protected abandon(_request: Request): void {}

  /** Submits parts of the request whose turn it is. Returns how many, or 0 where none could be. */
  #submit(request: Request): number {
    let parts = 0;
    while (!request.hasFailed && !this.isSubmitted(request)) {
      const reason = this.#submitPart(request);
      if (reason < 0) {
        if (request.hasFailed) break;
        if (this.isBusy) return parts;
        if (++this.#failures >= MAX_FAILURES)
          request.fail(mappingRefusal('not even one request can be mapped', reason));
        continue;
      }
      this.#failures = 0;
      this.#taken.add(request);
      request.inFlight++;
      parts++;
    }
    this.waiting.shift();
    request.isQueued = false;
    this.#taken.add(request);
    this.#endIfDone(request);
    return parts + 1;
  }

  #submitPart(request: Request): number {
    try {
      return this.submitPart(request);
    } catch (error) {
      request.fail(error);
      return -1;
    }
  }

  #endIfDone(request: Request): void {
    if (request.inFlight > 0 || (!request.hasFailed && !this.isSubmitted(request))) return;
    this.#end(request);
  }

  #end(request: Request): void {
    this.#taken.delete(request);
    request.end();
    if (request.isQueued) this.waiting.forget();
    request.isQueued = false;
  }

  /** A request that the device has no part of ends at once; the other ends once the device returned each part. */
  #abort(request: Request): void {
    if (request.isEnded) return;
    if (request.inFlight > 0) {
      this.abandon(request);
      this.#wake();
      return;
    }
    this.#end(request);
    this.#tell();
    // Those behind it may have waited for it alone.
    this.#wake();
  }

  /** Tells those who wait for room, or for the end of all requests. */
  #tell(): void {
    if (this.#onRoom.length > 0 && (this.#closed !== undefined || this.waiting.length < this.#maxQueued)) {
      for (const resolve of this.#onRoom.splice(0)) resolve();
    }
    if (this.#onIdle.length > 0 && this.awaited === 0) for (const resolve of this.#onIdle.splice(0)) resolve();
  }
}
