import type { DmaMapping, DmaStatistics } from '../../dma/dma-mapping.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import type { BrokenCode, BrokenReason } from '../ring/broken-reason.ts';
import type { QueueAddresses, QueueLayout } from '../ring/ring-format.ts';
import { OutstandingBuffers } from './outstanding-buffers.ts';
import { RingMemory, type RingLayout } from './ring-memory.ts';
import type { ScatterList } from './scatter-list.ts';
import type { BufferInspection, RingInspection } from './ring-inspection.ts';
import type { PublicationCounts, UsedBatch, Virtqueue, VirtqueueOptions } from './virtqueue.ts';
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
  /** Device address of an indirect table: low and high word, filled for each request that goes into one. */
  protected readonly tableWords: Uint32Array = new Uint32Array(2);
  readonly #layout: QueueLayout;
  readonly #mapping: DmaMapping;
  #size = 0;
  #tableEntries = 0;
  #memory!: RingMemory;
  #broken: BrokenReason | undefined;

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

  get broken(): BrokenReason | undefined {
    return this.#broken;
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
    this.#broken ??= reason;
  }

  reset(): number[] {
    const returned = this.buffers.removeAll();
    this.clearRing();
    this.#broken = undefined;
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

  /** Counts a publication, and returns whether the device wants to be notified of it. Hot. */
  protected countPublication(isWanted: boolean): boolean {
    if (isWanted) this.publications.wanted++;
    else this.publications.suppressed++;
    return isWanted;
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
