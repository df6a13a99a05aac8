import type { DmaMapping, DmaStatistics } from '../../dma/dma-mapping.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import type { BrokenCode, BrokenReason } from '../ring/broken-reason.ts';
import type { QueueAddresses, QueueLayout } from '../ring/ring-format.ts';
import { OutstandingBuffers } from './outstanding-buffers.ts';
import { RingMemory, type RingLayout } from './ring-memory.ts';
import type { ScatterList } from './scatter-list.ts';
import type { BufferLife } from './buffer-life.ts';
import type { BufferInspection, RingInspection } from './ring-inspection.ts';
import type { PublicationCounts, UsedBatch, Virtqueue, VirtqueueOptions } from './virtqueue.ts';
import type { VirtqueueRecorder } from './virtqueue-recorder.ts';
import type { VirtqueueState } from './virtqueue-state.ts';

/**
 * A saved driver's end to be restored: its checked state, and the memory of its ring with its contents as they were.
 */
export interface RestoredVirtqueue {
  readonly state: VirtqueueState;
  readonly ring: RingMemory;
}

/**
 * The parts of a driver's end that are the same for split and packed rings: its memory, its private record of the
 * outstanding buffers, the latch of a broken queue, reset, resize and save. The subclass for a layout writes and reads
 * the ring.
 */
export abstract class DriverEnd implements Virtqueue {
  readonly index: number;
  readonly publications: PublicationCounts = { wanted: 0, suppressed: 0 };
  protected readonly guest: GuestMemory;
  protected readonly options: VirtqueueOptions;
  protected buffers!: OutstandingBuffers;
  /** Buffers of this batch that {@link noteAdded} has still to be called for. */
  protected toTell = 0;
  /** Device address of an indirect table: low and high word, filled for each request that goes into one. */
  protected readonly tableWords: Uint32Array = new Uint32Array(2);
  readonly #layout: QueueLayout;
  readonly #mapping: DmaMapping;
  #size = 0;
  #tableEntries = 0;
  #memory!: RingMemory;
  #broken: BrokenReason | undefined;
  #recorder: VirtqueueRecorder | undefined;

  /** `mapping` stays the caller's. The subclass opens the ring with {@link open}, once its own fields exist. */
  constructor(layout: QueueLayout, guest: GuestMemory, mapping: DmaMapping, options: VirtqueueOptions) {
    this.index = options.index;
    this.guest = guest;
    this.options = options;
    this.#layout = layout;
    this.#mapping = mapping;
  }

  get size(): number {
    return this.#size;
  }

  get addresses(): QueueAddresses {
    return this.#memory.addresses;
  }

  get memory(): RingMemory {
    return this.#memory;
  }

  get outstanding(): number {
    return this.buffers.count;
  }

  get added(): number {
    return this.buffers.added;
  }

  get returned(): number {
    return this.buffers.returned;
  }

  get broken(): BrokenReason | undefined {
    return this.#broken;
  }

  lives(): readonly BufferLife[] {
    return this.buffers.lives();
  }

  get dma(): DmaStatistics {
    return this.#mapping.statistics;
  }

  abstract readonly nextAvailable: number;
  abstract readonly nextUsed: number;
  abstract add(list: ScatterList): number;
  abstract publish(): boolean;
  abstract takeUsed(batch: UsedBatch): number;
  abstract enableNotifications(): boolean;
  abstract enableNotificationsDelayed(): boolean;
  abstract disableNotifications(): void;
  abstract inspect(): RingInspection;
  abstract inspectBuffers(): readonly BufferInspection[];

  markBroken(reason: BrokenReason): void {
    if (this.#broken !== undefined) return;
    this.#broken = reason;
    this.#recorder?.broke(reason);
  }

  record(recorder: VirtqueueRecorder): void {
    this.#recorder = recorder;
    this.toTell = recorder.each;
    recorder.begin(this.buffers.added);
  }

  reset(): number[] {
    this.#recorder?.end();
    const returned = this.buffers.removeAll();
    this.clearRing();
    this.#broken = undefined;
    this.#recorder?.tookBack(returned);
    this.#recorder?.begin(this.buffers.added);
    return returned;
  }

  resize(size: number): void {
    if (this.outstanding > 0) throw new TypeError(`queue ${this.index} has buffers outstanding: reset it first`);
    const before = this.#memory;
    this.open(size);
    before.release();
  }

  save(): VirtqueueState {
    if (this.#broken !== undefined) throw new TypeError(`queue ${this.index} is broken`);
    if (this.buffers.added !== this.buffers.published)
      throw new TypeError(`queue ${this.index} has unpublished buffers`);
    return {
      layout: this.#layout,
      size: this.#size,
      tableEntries: this.#tableEntries,
      usedPosition: this.usedPosition,
      ...this.buffers.save(),
    };
  }

  dispose(): void {
    this.reset();
    this.#memory.release();
  }

  /** Waits until the device knows the address of each buffer that was added, where the mapping tells it. Hot. */
  protected syncMap(): void {
    this.#mapping.syncMap?.();
  }

  /** Refuses a request for a negative reason, and returns that. */
  protected refuse(list: ScatterList, reason: number): number {
    this.#recorder?.added(reason, list, this.buffers.added);
    return reason;
  }

  /** Tells of a request that was added. Hot. */
  protected noteAdded(id: number, list: ScatterList): void {
    this.toTell--;
    this.#recorder?.added(id, list, this.buffers.added);
  }

  /** Counts a publication, and returns whether the device wants to be notified of it. Hot. */
  protected countPublication(isWanted: boolean): boolean {
    if (isWanted) this.publications.wanted++;
    else this.publications.suppressed++;
    if (this.#recorder !== undefined) this.#notePublished(this.#recorder, isWanted);
    return isWanted;
  }

  #notePublished(recorder: VirtqueueRecorder, isWanted: boolean): void {
    recorder.published(isWanted, this.nextAvailable, this.buffers.added);
    this.toTell = recorder.each;
  }

  /** Returns how many buffers came back in `batch`. Hot. */
  protected countTaken(batch: UsedBatch): number {
    if (batch.count > 0) this.#recorder?.taken(batch, this.nextUsed, this.buffers.returned);
    if (this.#broken !== undefined) this.#recorder?.broke(this.#broken);
    return batch.count;
  }

  /** Returns whether no buffer came before the device was asked for a notification. */
  protected enabled(isQuiet: boolean): boolean {
    this.#recorder?.enabled(isQuiet);
    return isQuiet;
  }

  /** `VirtqueueState.usedPosition`. */
  protected abstract readonly usedPosition: number;

  /**
   * Opens a ring of `size` entries, in new memory or in that of a saved queue. Throws as the layout and
   * {@link openMemory}; then the queue is as before.
   */
  protected abstract open(size: number, memory?: RingMemory): void;

  /** Makes the ring, and the positions in it, as after construction. */
  protected abstract clearRing(): void;

  /**
   * Allocates the memory of a ring, unless `memory` is that of a saved one, and starts an empty record of buffers.
   * Throws {@link DmaError} when the memory is exhausted; then nothing has changed.
   */
  protected openMemory(size: number, layout: RingLayout, memory?: RingMemory): RingMemory {
    // A chain is no longer than the queue, even through a table (section 2.7.5.3.1).
    const tableEntries = Math.min(this.options.indirect, size);
    this.#memory = memory ?? new RingMemory(this.guest, this.#mapping, size, layout, tableEntries);
    this.#size = size;
    this.#tableEntries = tableEntries;
    this.buffers = new OutstandingBuffers(this.#mapping, size, tableEntries, this.options);
    return this.#memory;
  }

  /** Latches the queue broken. Returns false. */
  protected break(code: BrokenCode, detail: string): false {
    this.#broken = { code, detail: `queue ${this.index}: ${detail}` };
    return false;
  }

  /** Latches the queue broken for the used buffer that {@link OutstandingBuffers} refused. Returns false. */
  protected breakByRefusal(): false {
    const { code, detail } = this.buffers.refusal!;
    return this.break(code, detail);
  }
}
