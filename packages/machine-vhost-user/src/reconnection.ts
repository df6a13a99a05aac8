import { isCodedError, messageOf } from '@virtio-platform/core';
import type { UnixSocket } from '@virtio-platform/host';
import type { ReconnectPolicy } from './options.ts';
import type { ConnectionReviver, VhostUserConnection } from './vhost-user-connection.ts';

/** What a {@link Reconnection} is made of. */
export interface ReconnectionOptions {
  readonly policy: ReconnectPolicy;
  /** Tries once to reach the back-end. Throws a coded error where it is not there. */
  readonly connect: () => UnixSocket;
  /** Makes the back-end at the other end know all that the one before knew. Throws {@link DeviceError}. */
  readonly replay: () => void;
  /** How long that may take in all, in milliseconds. */
  readonly setUpMs: number;
}

/** Reaches a back-end again that is gone, a number of times. */
export class Reconnection implements ConnectionReviver {
  readonly #connection: VhostUserConnection;
  readonly #options: ReconnectionOptions;
  readonly #pause = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  /** Attempts that are left; `undefined` while the back-end is there. */
  #left: number | undefined;
  #nextAt = 0;
  #isTrying = false;
  #isDisposed = false;
  #count = 0;

  constructor(connection: VhostUserConnection, options: ReconnectionOptions) {
    this.#connection = connection;
    this.#options = options;
  }

  get mayRevive(): boolean {
    return this.#connection.isGone && !this.#isTrying && !this.#isDisposed;
  }

  /** How often the back-end was reached again. */
  get count(): number {
    return this.#count;
  }

  /**
   * Tries for `budgetMs`. Returns `waiting` where attempts are left behind that; `failed` where the back-end is lost
   * for good.
   */
  advance(budgetMs: number): 'connected' | 'waiting' | 'failed' {
    const { attempts, interval } = this.#options.policy;
    const end = performance.now() + budgetMs;
    for (this.#left ??= attempts; ;) {
      const now = performance.now();
      if (now < this.#nextAt) {
        Atomics.wait(this.#pause, 0, 0, Math.max(0, Math.min(this.#nextAt, end) - now));
        if (performance.now() < this.#nextAt) return 'waiting';
      }
      const problem = this.#try();
      this.#nextAt = performance.now() + interval;
      if (problem === undefined) {
        this.#left = undefined;
        this.#nextAt = 0;
        this.#count++;
        return 'connected';
      }
      if (--this.#left > 0 && this.#connection.isGone) continue;
      this.#left = undefined;
      this.#connection.giveUp(`it was not reached again: ${problem} (machine.reconnect: ${attempts} attempts)`);
      return 'failed';
    }
  }

  revive(): void {
    this.advance(Infinity);
    // Throws where it is lost for good.
    this.#connection.check();
  }

  dispose(): void {
    this.#isDisposed = true;
  }

  /** Returns what went wrong, or `undefined`. */
  #try(): string | undefined {
    const { connect, replay, setUpMs } = this.#options;
    this.#isTrying = true;
    try {
      this.#connection.renew(connect());
      this.#connection.startBudget('to set up its queues again (machine.startTimeout)', setUpMs);
      replay();
      this.#connection.confirm();
      return undefined;
    } catch (error) {
      if (!isCodedError(error)) throw error;
      // A process that is there and is not what is needed stays so.
      this.#connection.lose(messageOf(error));
      return messageOf(error);
    } finally {
      this.#connection.endBudget();
      this.#isTrying = false;
    }
  }
}
