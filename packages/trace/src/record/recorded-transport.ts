import { ForwardingTransport, type Transport, type WaitResult } from '@virtio-platform/core/device';
import { FeatureSet } from '@virtio-platform/core/features';
import type { QueueAddresses } from '@virtio-platform/core/queue';
import { KIND } from '../event-kind.ts';
import type { Recorder } from '../recorder.ts';

/** A transport whose calls are recorded. Hot in `notify` and `wait`: no allocation. */
export class RecordedTransport extends ForwardingTransport {
  readonly #recorder: Recorder;
  #status = -1;

  /** Owns `inner`. */
  constructor(inner: Transport, recorder: Recorder) {
    super(inner);
    this.#recorder = recorder;
  }

  override readDeviceFeatures(): FeatureSet {
    const features = super.readDeviceFeatures();
    this.#features(features, 0);
    return features;
  }

  override writeDriverFeatures(features: FeatureSet): void {
    super.writeDriverFeatures(features);
    this.#features(features, 1);
  }

  /** A status that a driver reads again and again is recorded when it differs. */
  override readStatus(): number {
    const status = super.readStatus();
    if (status !== this.#status) this.#cold(KIND.status, -1, 0, 0, status);
    this.#status = status;
    return status;
  }

  override writeStatus(status: number): void {
    super.writeStatus(status);
    this.#status = status;
    this.#cold(KIND.status, -1, 1, 0, status);
  }

  override enableQueue(queue: number, addresses: QueueAddresses): void {
    const { size, words } = addresses;
    this.#recorder.tick();
    this.#recorder.record(KIND.enableQueue, queue, 0, -1, words[0]!, words[1]!, 0, size);
    super.enableQueue(queue, addresses);
  }

  override resetQueue(queue: number): void {
    this.#cold(KIND.resetQueue, queue, 0, 0, 0);
    super.resetQueue(queue);
  }

  override notify(queue: number, next: number): void {
    this.#recorder.mark(KIND.notify, queue, 0, 0, next);
    super.notify(queue, next);
  }

  override wait(timeoutMs: number): WaitResult {
    const result = super.wait(timeoutMs);
    this.#recorder.tick();
    this.#recorder.mark(KIND.wait, -1, 0, timeoutMs, result === 'notified' ? 0 : result === 'timeout' ? 1 : 2);
    return result;
  }

  override takeConfigChange(): boolean {
    const isChanged = super.takeConfigChange();
    if (isChanged) this.#cold(KIND.configChange, -1, 0, 0, this.configGeneration());
    return isChanged;
  }

  override readConfig(offset: number, target: Uint8Array): void {
    super.readConfig(offset, target);
    this.#cold(KIND.configRead, -1, 0, target.length, offset);
  }

  override writeConfig(offset: number, source: Uint8Array): void {
    super.writeConfig(offset, source);
    this.#cold(KIND.configWrite, -1, 0, source.length, offset);
  }

  /** Records an event that is rare, with a time of its own. */
  #cold(kind: number, queue: number, id: number, length: number, extra: number): void {
    this.#recorder.tick();
    this.#recorder.mark(kind, queue, id, length, extra);
  }

  #features(features: FeatureSet, isWritten: 0 | 1): void {
    const { bits }: { readonly bits?: unknown } = features;
    // A machine from another project may give anything: who asked for the features says so.
    if (typeof bits !== 'bigint') return;
    const low = Number(bits & 0xffff_ffffn);
    const high = Number((bits >> 32n) & 0xffff_ffffn);
    this.#recorder.tick();
    this.#recorder.record(KIND.features, -1, isWritten, -1, low, high, 0, 0);
  }
}
