import type { FeatureSet } from '../features/feature-set.ts';
import type { DeviceInterface } from '../features/transport-features.ts';
import type { QueueAddresses } from '../queue/ring/ring-format.ts';
import type { InterruptMessages, Transport, WaitResult } from './transport.ts';

/**
 * Forwards every call to the transport that it wraps, as base of those that differ from another one in a few calls.
 * Owns the wrapped transport. Hot: no allocation.
 */
export class ForwardingTransport implements Transport {
  readonly interface: DeviceInterface;
  readonly deviceId: number;
  readonly carries: FeatureSet;
  readonly unmarkedLengths: boolean | undefined;
  readonly wholeUsedElements: boolean | undefined;
  readonly interruptMessages: InterruptMessages | undefined;
  readonly usedNotifications: ((queue: number) => number) | undefined;
  readonly watch: ((listener: () => void) => void) | undefined;
  readonly #inner: Transport;

  constructor(inner: Transport) {
    this.interface = inner.interface;
    this.deviceId = inner.deviceId;
    this.carries = inner.carries;
    this.unmarkedLengths = inner.unmarkedLengths;
    this.wholeUsedElements = inner.wholeUsedElements;
    this.interruptMessages = inner.interruptMessages;
    this.usedNotifications = inner.usedNotifications?.bind(inner);
    this.watch = inner.watch?.bind(inner);
    this.#inner = inner;
  }

  get queueCount(): number {
    return this.#inner.queueCount;
  }

  readDeviceFeatures(): FeatureSet {
    return this.#inner.readDeviceFeatures();
  }

  writeDriverFeatures(features: FeatureSet): void {
    this.#inner.writeDriverFeatures(features);
  }

  readStatus(): number {
    return this.#inner.readStatus();
  }

  writeStatus(status: number): void {
    this.#inner.writeStatus(status);
  }

  maxQueueSize(queue: number): number {
    return this.#inner.maxQueueSize(queue);
  }

  enableQueue(queue: number, addresses: QueueAddresses): void {
    this.#inner.enableQueue(queue, addresses);
  }

  resetQueue(queue: number): void {
    this.#inner.resetQueue(queue);
  }

  isQueueReset(queue: number): boolean {
    return this.#inner.isQueueReset(queue);
  }

  notify(queue: number, next: number): void {
    this.#inner.notify(queue, next);
  }

  wait(timeoutMs: number): WaitResult {
    return this.#inner.wait(timeoutMs);
  }

  takeConfigChange(): boolean {
    return this.#inner.takeConfigChange?.() ?? false;
  }

  configGeneration(): number {
    return this.#inner.configGeneration();
  }

  readConfig(offset: number, target: Uint8Array): void {
    this.#inner.readConfig(offset, target);
  }

  writeConfig(offset: number, source: Uint8Array): void {
    this.#inner.writeConfig(offset, source);
  }

  dispose(): void {
    this.#inner.dispose();
  }
}
