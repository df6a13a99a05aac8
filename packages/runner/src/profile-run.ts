import { captureRejectionSymbol, EventEmitter } from 'node:events';
import { describeValue } from '@virtio-platform/core';
import type { Profile } from '@virtio-platform/profile';
import { driveRun } from './drive-run.ts';
import { EventLog } from './event-log.ts';
import type { RunReport } from './report/report.ts';
import type { RunEvent, RunEventMap } from './run-events.ts';
import type { RunOptions } from './run-options.ts';

function inside(value: unknown, key: string): unknown {
  return Reflect.get(Object(value), key);
}

/** Whether a profile was checked: only then has it the type of its device in it, with a driver half. */
function isLoaded(profile: unknown): boolean {
  return typeof inside(inside(inside(profile, 'device'), 'type'), 'driver') === 'object';
}

function isSignal(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'aborted' in value && 'addEventListener' in value;
}

/**
 * A run of a profile while it runs. It emits {@link RunEvent}s by their type, and {@link events} reads them one after
 * the other. A listener that throws, or whose promise rejects, ends the run: its error is what {@link report} rejects
 * with.
 */
export class ProfileRun extends EventEmitter<RunEventMap> implements AsyncDisposable {
  /**
   * All events from the first on, for each loop over them. Ends after `ended`; a run without a report then throws what
   * {@link report} rejects with.
   */
  readonly events: AsyncIterable<RunEvent>;
  readonly #log = new EventLog();
  readonly #controller = new AbortController();
  readonly #report: Promise<RunReport>;
  #isSettled = false;
  /** Whether the error of a run without a report is seen: otherwise it is an unhandled rejection. */
  #isObserved = false;

  /** Starts the run; listeners that are added at once miss nothing. See {@link startProfile}. */
  constructor(profile: Profile, options: RunOptions = {}) {
    super({ captureRejections: true });
    // Isolated declarations have no form for a method of this name.
    Object.defineProperty(this, captureRejectionSymbol, { value: (error: unknown) => this.#endByListener(error) });
    this.events = {
      [Symbol.asyncIterator]: () => {
        this.#isObserved = true;
        return this.#log.read();
      },
    };
    const { onProgress, signal } = options;
    if (!isLoaded(profile))
      throw new TypeError(`\`profile\` has to be one that loadProfile gave, not ${describeValue(profile)}`);
    if (signal !== undefined && !isSignal(signal)) throw new TypeError('`signal` has to be an AbortSignal');
    if (onProgress !== undefined) this.on('progress', ({ done, total }) => onProgress(done, total));
    this.#report = this.#run(profile, options);
    this.#report.catch(() => {});
  }

  /**
   * What the run showed. Rejects with the reason of an abort, with the error of a listener, and with the coded error of
   * a profile, plugin or installation that is wrong; what was started is ended then.
   */
  get report(): Promise<RunReport> {
    this.#isObserved = true;
    return this.#report;
  }

  /** Ends the run where it is; without a reason, the one is an `AbortError`. Does nothing once the run has ended. */
  abort(reason?: unknown): void {
    this.#isObserved = true;
    this.#controller.abort(reason);
  }

  /** Aborts the run, and waits until everything that it started has ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.abort();
    await this.#report.catch(() => {});
  }

  /** The promise of a listener rejected, which ends the run; once the run has ended, it is an uncaught exception. */
  #endByListener(error: unknown): void {
    if (!this.#isSettled) {
      this.#controller.abort(error);
      return;
    }
    queueMicrotask(() => {
      throw error;
    });
  }

  async #run(profile: Profile, options: RunOptions): Promise<RunReport> {
    const { signal, sanitize, plugins, recorder, watch } = options;
    const controller = this.#controller;
    const forward = (): void => controller.abort(signal!.reason);
    if (signal?.aborted === true) forward();
    signal?.addEventListener('abort', forward, { once: true });
    let isTold = false;
    try {
      // Listeners are added in the meantime.
      await Promise.resolve();
      const tell = (event: RunEvent): void => this.#tell(event);
      const report = await driveRun(profile, { sanitize, plugins, recorder, watch, signal: controller.signal, tell });
      isTold = true;
      this.#tell({ type: 'ended', report, error: null });
      controller.signal.throwIfAborted();
      this.#log.close();
      return report;
    } catch (error) {
      if (!isTold) this.#tell({ type: 'ended', report: null, error });
      this.#log.close({ error });
      if (!this.#isObserved && this.listenerCount('ended') === 0) void Promise.reject(error);
      throw error;
    } finally {
      this.#isSettled = true;
      signal?.removeEventListener('abort', forward);
    }
  }

  #tell(event: RunEvent): void {
    this.#log.add(event);
    try {
      EventEmitter.prototype.emit.call(this, event.type, event);
    } catch (error) {
      this.#controller.abort(error);
    }
  }
}
