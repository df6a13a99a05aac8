import { isCodedError } from '@virtio-platform/core';
import { ForwardingTransport, type Transport, type WaitResult } from '@virtio-platform/core/device';
import type { FeatureSet } from '@virtio-platform/core/features';
import type { QueueAddresses } from '@virtio-platform/core/queue';
import type { SanitizerState } from '../sanitizer-state.ts';

/**
 * A transport that records which queues the device uses: from enabling until a confirmed reset, or until the device is
 * gone.
 */
export class WatchedTransport extends ForwardingTransport {
  readonly #state: SanitizerState;
  readonly #device: string;

  constructor(inner: Transport, state: SanitizerState, device: string) {
    super(inner);
    this.#state = state;
    this.#device = device;
  }

  override readDeviceFeatures(): FeatureSet {
    return this.#ask(() => super.readDeviceFeatures());
  }

  override writeDriverFeatures(features: FeatureSet): void {
    this.#ask(() => super.writeDriverFeatures(features));
  }

  override readStatus(): number {
    const status = this.#ask(() => super.readStatus());
    if (status === 0) this.#state.disable(this.#device);
    return status;
  }

  override writeStatus(status: number): void {
    this.#ask(() => super.writeStatus(status));
  }

  override maxQueueSize(queue: number): number {
    return this.#ask(() => super.maxQueueSize(queue));
  }

  override enableQueue(queue: number, addresses: QueueAddresses): void {
    this.#ask(() => super.enableQueue(queue, addresses));
    this.#state.enable(this.#state.owner(this.#device, queue));
  }

  override resetQueue(queue: number): void {
    this.#ask(() => super.resetQueue(queue));
  }

  override isQueueReset(queue: number): boolean {
    const isReset = this.#ask(() => super.isQueueReset(queue));
    if (isReset) this.#state.disable(this.#device, queue);
    return isReset;
  }

  override notify(queue: number, next: number): void {
    this.#ask(() => super.notify(queue, next));
  }

  override wait(timeoutMs: number): WaitResult {
    const result = super.wait(timeoutMs);
    if (result === 'lost') this.#state.disable(this.#device);
    return result;
  }

  override configGeneration(): number {
    return this.#ask(() => super.configGeneration());
  }

  override readConfig(offset: number, target: Uint8Array): void {
    this.#ask(() => super.readConfig(offset, target));
  }

  override writeConfig(offset: number, source: Uint8Array): void {
    this.#ask(() => super.writeConfig(offset, source));
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
