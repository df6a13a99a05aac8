import type { InterruptMessages, Transport, WaitResult } from '@virtio-platform/core/device';
import { isCodedError } from '@virtio-platform/core';
import type { FeatureSet, DeviceInterface } from '@virtio-platform/core/features';
import type { QueueAddresses } from '@virtio-platform/core/queue';
import type { SanitizerState } from '../sanitizer-state.ts';

/**
 * A transport that records which queues the device uses: from enabling until a confirmed reset, or until the device is
 * gone.
 */
export class WatchedTransport implements Transport {
  readonly interface: DeviceInterface;
  readonly deviceId: number;
  readonly carries: FeatureSet;
  readonly queueCount: number;
  readonly unmarkedLengths: boolean | undefined;
  readonly wholeUsedElements: boolean | undefined;
  readonly interruptMessages: InterruptMessages | undefined;
  readonly usedNotifications: ((queue: number) => number) | undefined;
  readonly watch: ((listener: () => void) => void) | undefined;
  readonly takeConfigChange: () => boolean;
  readonly #inner: Transport;
  readonly #state: SanitizerState;
  readonly #device: string;

  constructor(inner: Transport, state: SanitizerState, device: string) {
    this.interface = inner.interface;
    this.deviceId = inner.deviceId;
    this.carries = inner.carries;
    this.queueCount = inner.queueCount;
    this.unmarkedLengths = inner.unmarkedLengths;
    this.wholeUsedElements = inner.wholeUsedElements;
    this.interruptMessages = inner.interruptMessages;
    this.usedNotifications = inner.usedNotifications?.bind(inner);
    this.watch = inner.watch?.bind(inner);
    this.takeConfigChange = (): boolean => inner.takeConfigChange?.() ?? false;
    this.#inner = inner;
    this.#state = state;
    this.#device = device;
  }

  readDeviceFeatures(): FeatureSet {
    return this.#ask(() => this.#inner.readDeviceFeatures());
  }

  writeDriverFeatures(features: FeatureSet): void {
    this.#ask(() => this.#inner.writeDriverFeatures(features));
  }

  readStatus(): number {
    const status = this.#ask(() => this.#inner.readStatus());
    if (status === 0) this.#state.disable(this.#device);
    return status;
  }

  writeStatus(status: number): void {
    this.#ask(() => this.#inner.writeStatus(status));
  }

  maxQueueSize(queue: number): number {
    return this.#ask(() => this.#inner.maxQueueSize(queue));
  }

  enableQueue(queue: number, addresses: QueueAddresses): void {
    this.#ask(() => this.#inner.enableQueue(queue, addresses));
    this.#state.enable(this.#state.owner(this.#device, queue));
  }

  resetQueue(queue: number): void {
    this.#ask(() => this.#inner.resetQueue(queue));
  }

  isQueueReset(queue: number): boolean {
    const isReset = this.#ask(() => this.#inner.isQueueReset(queue));
    if (isReset) this.#state.disable(this.#device, queue);
    return isReset;
  }

  notify(queue: number, next: number): void {
    this.#ask(() => this.#inner.notify(queue, next));
  }

  wait(timeoutMs: number): WaitResult {
    const result = this.#inner.wait(timeoutMs);
    if (result === 'lost') this.#state.disable(this.#device);
    return result;
  }

  configGeneration(): number {
    return this.#ask(() => this.#inner.configGeneration());
  }

  readConfig(offset: number, target: Uint8Array): void {
    this.#ask(() => this.#inner.readConfig(offset, target));
  }

  writeConfig(offset: number, source: Uint8Array): void {
    this.#ask(() => this.#inner.writeConfig(offset, source));
  }

  dispose(): void {
    this.#inner.dispose();
  }

  /** Forwards a call. A device that is gone uses no queue. */
  #ask<T>(question: () => T): T {
    try {
      return question();
    } catch (error) {
      if (isCodedError(error) && error.code === 'ERR_DEVICE_LOST') this.#state.disable(this.#device);
      throw error;
    }
  }
}
