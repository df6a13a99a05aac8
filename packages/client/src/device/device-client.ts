import { EventEmitter } from 'node:events';
import type { ClientEvents } from './client-events.ts';
import { closedError } from '../client-error.ts';
import type { PumpWork } from './device-pump.ts';
import type { OpenedDevice } from './open-device.ts';

/** How the requests of a client end. */
export interface ClientRequests {
  /** Resolves when all that the program called ended. No more is taken from then on. */
  finish(): Promise<void>;
  /** Ends all with `error`. `cause` is what closed the client, where that was an error. */
  reject(error: unknown, cause?: unknown): void;
}

/**
 * What the clients of all device types have in common: their end. A client keeps the process alive until it is closed,
 * as a socket does. Where the process ends before, so do all programs that were started for the device.
 */
export abstract class DeviceClient extends EventEmitter<ClientEvents> implements AsyncDisposable {
  readonly #name: string;
  readonly #device: OpenedDevice;
  readonly #requests: ClientRequests;
  #ending: Promise<void> | undefined;

  /** Takes the device over. `name` is its type in messages. */
  protected constructor(name: string, device: OpenedDevice, requests: ClientRequests) {
    super();
    this.#name = name;
    this.#device = device;
    this.#requests = requests;
  }

  /** Begins to work. */
  protected start(work: PumpWork): void {
    this.#device.start(work, {
      failed: (error) => this.#fail(error),
      changed: (what) => this.emit('change', what),
    });
  }

  /** Whether the client takes no more requests: it was closed, or the device failed. */
  get isClosed(): boolean {
    return this.#ending !== undefined;
  }

  /** The features that negotiation accepted, by their names: `BLK_FLUSH`. */
  get features(): readonly string[] {
    const { profile, context } = this.#device;
    return context.accepted.names(profile.device.type.features, profile.policy.bits);
  }

  /** How often a notification woke the client, and how often its watchdog found what none told of: 0 unless a bug. */
  get statistics(): { readonly wakeUps: number; readonly rescued: number } {
    return this.#device.pump.statistics;
  }

  /** Keeps the process alive while the client is open, as it does from the start. */
  ref(): this {
    this.#device.ref();
    return this;
  }

  /** Lets the process end while the client is open. */
  unref(): this {
    this.#device.unref();
    return this;
  }

  /**
   * Waits for all that was called, then resets the device and ends everything that was started for it. Idempotent.
   * Rejects with what went wrong as it ended; what a device had failed with before, its requests and `failed` have
   * told.
   */
  async close(): Promise<void> {
    await (this.#ending ??= this.#end(this.#requests.finish()));
  }

  /** As {@link close}, without waiting: what the device has not answered rejects with `ERR_CLIENT_CLOSED`. */
  async destroy(): Promise<void> {
    this.#device.pump.stop();
    this.#requests.reject(closedError(this.#name));
    await this.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #fail(error: unknown): void {
    this.#requests.reject(error, error);
    this.emit('failed', error);
    // It does not reject: the device failed before.
    this.#ending ??= this.#end();
  }

  async #end(finished?: Promise<void>): Promise<void> {
    await finished;
    try {
      await this.#device.end();
    } finally {
      this.emit('close');
    }
  }
}
