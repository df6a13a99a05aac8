import type { DmaStatistics } from '../../dma/dma-mapping.ts';
import type { BrokenReason } from '../ring/broken-reason.ts';
import type { QueueAddresses } from '../ring/ring-format.ts';
import type { BufferLife } from './buffer-life.ts';
import type { BufferInspection, RingInspection } from './ring-inspection.ts';
import type { RingMemory } from './ring-memory.ts';
import type { ScatterList } from './scatter-list.ts';
import type { PublicationCounts, UsedBatch, Virtqueue } from './virtqueue.ts';
import type { VirtqueueRecorder } from './virtqueue-recorder.ts';
import type { VirtqueueState } from './virtqueue-state.ts';

/**
 * Forwards every call to the driver's end that it wraps, as base of those that differ from another one in a few calls.
 * Owns the wrapped queue. Hot: no allocation.
 */
export class ForwardingVirtqueue implements Virtqueue {
  readonly index: number;
  readonly #inner: Virtqueue;

  constructor(inner: Virtqueue) {
    this.index = inner.index;
    this.#inner = inner;
  }

  get size(): number {
    return this.#inner.size;
  }

  get addresses(): QueueAddresses {
    return this.#inner.addresses;
  }

  get outstanding(): number {
    return this.#inner.outstanding;
  }

  get added(): number {
    return this.#inner.added;
  }

  get returned(): number {
    return this.#inner.returned;
  }

  get broken(): BrokenReason | undefined {
    return this.#inner.broken;
  }

  get dma(): DmaStatistics {
    return this.#inner.dma;
  }

  get publications(): Readonly<PublicationCounts> {
    return this.#inner.publications;
  }

  get nextAvailable(): number {
    return this.#inner.nextAvailable;
  }

  get nextUsed(): number {
    return this.#inner.nextUsed;
  }

  get memory(): RingMemory {
    return this.#inner.memory;
  }

  add(list: ScatterList): number {
    return this.#inner.add(list);
  }

  publish(): boolean {
    return this.#inner.publish();
  }

  takeUsed(batch: UsedBatch): number {
    return this.#inner.takeUsed(batch);
  }

  enableNotifications(): boolean {
    return this.#inner.enableNotifications();
  }

  enableNotificationsDelayed(): boolean {
    return this.#inner.enableNotificationsDelayed();
  }

  disableNotifications(): void {
    this.#inner.disableNotifications();
  }

  reset(): number[] {
    return this.#inner.reset();
  }

  resize(size: number): void {
    this.#inner.resize(size);
  }

  markBroken(reason: BrokenReason): void {
    this.#inner.markBroken(reason);
  }

  lives(): readonly BufferLife[] {
    return this.#inner.lives();
  }

  record(recorder: VirtqueueRecorder): void {
    this.#inner.record(recorder);
  }

  inspect(): RingInspection {
    return this.#inner.inspect();
  }

  inspectBuffers(): readonly BufferInspection[] {
    return this.#inner.inspectBuffers();
  }

  save(): VirtqueueState {
    return this.#inner.save();
  }

  dispose(): void {
    this.#inner.dispose();
  }
}
