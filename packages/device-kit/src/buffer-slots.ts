import { DeviceError, type BufferMapping } from '@virtio-platform/core';
import { CACHE_LINE_SIZE, DmaDirection, type DmaMapping } from '@virtio-platform/core/dma';
import type { GuestMemory } from '@virtio-platform/core/memory';
import { ScatterList, UsedBatch, type Virtqueue } from '@virtio-platform/core/queue';
import { openBufferAreas, type BufferArea } from './buffer-mapping.ts';
/** The buffers of one queue. */
export interface BufferSlotsOptions {
  /** Buffers in flight at once; at most the queue size. */
  readonly count: number;
  /** Bytes of each slot that the device reads, and that it writes. One may be 0. */
  readonly readable: number;
  readonly writable: number;
  /**
   * Bytes at the start of the slot that need a descriptor of their own, as headers do on the legacy interface; 0 for
   * none.
   */
  readonly header?: number;
  /**
   * Whether the writable part is zeroed before the device gets it, so that one which says that it wrote, and did not,
   * shows nothing old. The device is to see the zeros: memory that only the device writes is not the driver's to write
   * while it is mapped.
   */
  readonly wipes?: boolean;
  /** Most pieces that {@link BufferSlots.submit} splits the writable part into, each a descriptor. 1 unless given. */
  readonly pieces?: number;
  readonly buffers: BufferMapping;
}

/** What drivers return where every slot is in use; below what `Virtqueue.add` returns. */
export const NO_BUFFER = -32;

/**
 * Buffers of one size on one queue of a driver: `take` a slot, fill it, `submit` it, `publish`, and `poll` until it
 * comes back. A slot has a readable part, a writable part, or both. Hot: no allocation per buffer.
 */
export class BufferSlots {
  readonly queue: Virtqueue;
  readonly count: number;
  /** Of the last `poll`: the slots that came back, and how many bytes of their writable part the device wrote. */
  readonly completedSlots: Uint16Array;
  readonly completedLengths: Uint32Array;
  readonly #memory: GuestMemory;
  readonly #mapping: DmaMapping;
  readonly #options: BufferSlotsOptions;
  readonly #segment: number;
  /** Descriptors of the longest request, in one piece. */
  readonly #segments: number;
  /** Bytes from one writable part to the next: whole cache lines. */
  readonly #writableStride: number;
  readonly #list: ScatterList;
  readonly #batch: UsedBatch;
  /** The mappings of {@link reserve}, and how many there are. */
  readonly #reserved: Int32Array;
  #reservedCount = 0;
  readonly #words: Uint32Array = new Uint32Array(2);
  #slotOf: Uint16Array;
  readonly #free: Uint16Array;
  #freeCount: number;
  readonly #readable: BufferArea;
  readonly #writable: BufferArea;

  /**
   * Throws {@link DmaError} when there is no memory for the slots, {@link DeviceError} `ERR_QUEUE_TOO_SMALL`; then
   * nothing stays allocated.
   */
  constructor(memory: GuestMemory, queue: Virtqueue, mapping: DmaMapping, options: BufferSlotsOptions) {
    const { count, readable, writable } = options;
    if (!(count >= 1) || count > queue.size) throw new RangeError(`${count} buffers in a queue of ${queue.size}`);
    this.queue = queue;
    this.count = count;
    this.#memory = memory;
    this.#mapping = mapping;
    this.#options = options;
    this.#writableStride = Math.ceil(writable / CACHE_LINE_SIZE) * CACHE_LINE_SIZE;
    this.#segment = Math.min(readable + writable, mapping.limits.maxMappingSize);
    const headers = (options.header ?? 0) > 0 ? 1 : 0;
    this.#segments = Math.ceil(readable / this.#segment) + Math.ceil(writable / this.#segment) + headers;
    this.#list = new ScatterList(this.#segments + (options.pieces ?? 1) - 1);
    this.#reserved = new Int32Array(this.#list.capacity);
    checkQueueSize(queue, this.#segments);
    this.#batch = new UsedBatch(Math.min(count, 64));
    this.completedSlots = new Uint16Array(this.#batch.capacity);
    this.completedLengths = new Uint32Array(this.#batch.capacity);
    this.#slotOf = new Uint16Array(queue.size);
    this.#free = Uint16Array.from({ length: count }, (_, i) => count - 1 - i);
    this.#freeCount = count;
    const { buffers } = options;
    const direction = options.wipes === true ? DmaDirection.Bidirectional : DmaDirection.FromDevice;
    [this.#readable, this.#writable] = openBufferAreas(memory, mapping, buffers, [
      [count * readable, DmaDirection.ToDevice],
      [count * this.#writableStride, direction],
    ]);
  }

  /** Buffers submitted and not polled back. */
  get inFlight(): number {
    return this.queue.outstanding;
  }

  /** Takes a slot, or returns -1 when all are in use. Hot. */
  take(): number {
    return this.#freeCount === 0 ? -1 : this.#free[--this.#freeCount]!;
  }

  /** Gives back a slot that was taken and is not in flight. Hot. */
  give(slot: number): void {
    this.#free[this.#freeCount++] = slot;
  }

  /** Where the part of a slot that the device reads starts in guest memory. */
  readableAddress(slot: number): number {
    return this.#readable.address + slot * this.#options.readable;
  }

  /** Where the part of a slot that the device writes starts in guest memory. */
  writableAddress(slot: number): number {
    return this.#writable.address + slot * this.#writableStride;
  }

  /**
   * Adds the buffer of a slot: `length` bytes of its readable part, and of its writable one all, or the first
   * `writableLength` in `pieces` descriptors of about one length. Returns 0, or a negative reason (`QUEUE_FULL`,
   * `DMA_NO_SPACE`, …) with the slot still the caller's: retry after the next completion. Throws `RangeError` for more
   * than a slot has. Hot.
   */
  submit(slot: number, length: number, writableLength: number = this.#options.writable, pieces = 1): number {
    const { readable, writable, header = 0, pieces: mostPieces = 1 } = this.#options;
    if (length > readable) throw new RangeError(`${length} bytes in a slot of ${readable}`);
    if (writableLength > writable || pieces > mostPieces)
      throw new RangeError(`${writableLength} bytes in ${pieces} pieces, in a slot of ${writable} and ${mostPieces}`);
    if (this.#options.wipes === true) this.#wipe(slot);
    this.#list.clear();
    const piece = pieces === 1 ? this.#segment : Math.min(this.#segment, Math.ceil(writableLength / pieces));
    this.#describe(this.#readable, slot * readable, length, readable > 0 ? header : 0, true, this.#segment);
    const at = slot * this.#writableStride;
    this.#describe(this.#writable, at, writableLength, readable > 0 ? 0 : header, false, piece);
    const head = this.queue.add(this.#list);
    if (head < 0) return head;
    this.#slotOf[head] = slot;
    return 0;
  }

  /**
   * Maps the part of a free slot that the device reads, so that nothing else takes its room until {@link unreserve}.
   * Returns whether there is room; always where a slot is mapped for good, and where all are with the device. Hot.
   */
  reserve(): boolean {
    const { readable } = this.#options;
    if (this.#readable.region !== undefined || this.#freeCount === 0 || this.#reservedCount > 0) return true;
    const address = this.readableAddress(this.#free[this.#freeCount - 1]!);
    // The device can read what is mapped, although it is told nothing of it.
    this.#memory.u8.fill(0, address, address + readable);
    for (let done = 0; done < readable; done += this.#segment) {
      const run = Math.min(this.#segment, readable - done);
      const id = this.#mapping.map(address + done, run, DmaDirection.ToDevice, this.#words, 0);
      if (id < 0) {
        this.unreserve();
        return false;
      }
      this.#reserved[this.#reservedCount++] = id;
    }
    return true;
  }

  /** Gives back the room of {@link reserve}. Hot. */
  unreserve(): void {
    while (this.#reservedCount > 0) this.#mapping.unmap(this.#reserved[--this.#reservedCount]!, 0);
  }

  /** The slot of a buffer that the device has, by its id. */
  slotOf(id: number): number {
    return this.#slotOf[id]!;
  }

  /** Takes back buffers and returns how many; they are in the `completed` arrays. Hot. */
  poll(): number {
    const came = this.queue.takeUsed(this.#batch);
    const { region } = this.#writable;
    for (let i = 0; i < came; i++) {
      const slot = this.#slotOf[this.#batch.ids[i]!]!;
      const written = this.#batch.written[i]!;
      if (region !== undefined && written > 0) region.syncForCpu(slot * this.#writableStride, written);
      this.completedSlots[i] = slot;
      this.completedLengths[i] = written;
    }
    return came;
  }

  /**
   * The slots of buffers that a reset of the queue took back, by the ids that it returned: the caller's again, as after
   * a failed `submit`. The queue may have another size since: throws {@link DeviceError} `ERR_QUEUE_TOO_SMALL`.
   */
  recover(ids: readonly number[]): number[] {
    checkQueueSize(this.queue, this.#segments);
    const slots = ids.map((id) => this.#slotOf[id]!);
    this.#slotOf = new Uint16Array(this.queue.size);
    return slots;
  }

  /** Gives back all buffers. Only after the device confirmed a reset and the queue was reset. */
  dispose(): void {
    this.#readable.release();
    this.#writable.release();
  }

  #wipe(slot: number): void {
    const { writable } = this.#options;
    const address = this.writableAddress(slot);
    this.#memory.u8.fill(0, address, address + writable);
    this.#writable.region?.syncForDevice(slot * this.#writableStride, writable);
  }

  #describe(area: BufferArea, at: number, bytes: number, header: number, isReadable: boolean, longest: number): void {
    const { region, address } = area;
    const list = this.#list;
    if (region !== undefined && isReadable && bytes > 0) region.syncForDevice(at, bytes);
    for (let done = 0; done < bytes;) {
      const run = Math.min(longest, done < header ? header - done : bytes - done, bytes - done);
      if (region === undefined) {
        if (isReadable) list.addReadable(address + at + done, run);
        else list.addWritable(address + at + done, run);
      } else if (isReadable) list.addReadableRegion(region, at + done, run);
      else list.addWritableRegion(region, at + done, run);
      done += run;
    }
  }
}

/**
 * Checks that a request of `segments` segments can be made at all: a chain is no longer than its queue, not even
 * through a table (specification 1.4 section 2.7.5.3.1). Throws {@link DeviceError} `ERR_QUEUE_TOO_SMALL`.
 */
export function checkQueueSize({ index, size }: Virtqueue, segments: number): void {
  if (segments <= size) return;
  throw new DeviceError('ERR_QUEUE_TOO_SMALL', `queue ${index} has ${size} entries, and a request takes ${segments}`, {
    hint: 'enlarge queue.size or the size of the disruption, or make workload.blockSize smaller',
  });
}
