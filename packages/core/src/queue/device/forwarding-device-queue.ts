import type { BrokenReason } from '../ring/broken-reason.ts';
import type { DescriptorChain } from './descriptor-chain.ts';
import type { DeviceQueue } from './device-queue.ts';
import type { DeviceQueueRecorder } from './device-queue-recorder.ts';
import type { DeviceQueueState } from './device-queue-state.ts';

/**
 * Forwards every call to the device's end that it wraps, as base of those that differ from another one in a few calls.
 * Owns the wrapped queue. Hot: no allocation.
 */
export class ForwardingDeviceQueue implements DeviceQueue {
  readonly size: number;
  readonly longestChain: number;
  readonly #inner: DeviceQueue;

  constructor(inner: DeviceQueue) {
    this.size = inner.size;
    this.longestChain = inner.longestChain;
    this.#inner = inner;
  }

  get longTables(): number {
    return this.#inner.longTables;
  }

  get broken(): BrokenReason | undefined {
    return this.#inner.broken;
  }

  get popped(): number {
    return this.#inner.popped;
  }

  get pushed(): number {
    return this.#inner.pushed;
  }

  get servesOneByOne(): boolean {
    return this.#inner.servesOneByOne;
  }

  get inFlight(): number {
    return this.#inner.inFlight;
  }

  pop(chain: DescriptorChain): boolean {
    return this.#inner.pop(chain);
  }

  push(head: number, written: number): void {
    this.#inner.push(head, written);
  }

  flush(): boolean {
    return this.#inner.flush();
  }

  enableNotifications(): boolean {
    return this.#inner.enableNotifications();
  }

  disableNotifications(): void {
    this.#inner.disableNotifications();
  }

  awaitsNotification(): boolean {
    return this.#inner.awaitsNotification();
  }

  suppressesNotifications(): boolean {
    return this.#inner.suppressesNotifications();
  }

  record(recorder: DeviceQueueRecorder): void {
    this.#inner.record(recorder);
  }

  save(): DeviceQueueState {
    return this.#inner.save();
  }
}
