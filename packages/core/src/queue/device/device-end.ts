import type { DeviceAddressSpace } from '../../address-space/device-address-space.ts';
import type { DeviceAccess } from '../../address-space/fault-log.ts';
import type { BrokenCode, BrokenReason } from '../ring/broken-reason.ts';
import { DESCRIPTOR_SIZE, openDescriptorTable, type DescriptorTable } from '../ring/descriptor-table.ts';
import type { ByteOrder, QueueLayout } from '../ring/ring-format.ts';
import { BorrowedRing } from './borrowed-ring.ts';
import type { DescriptorChain } from './descriptor-chain.ts';
import { LONGEST_TABLE, type DeviceQueue, type DeviceQueueOptions } from './device-queue.ts';
import type { DeviceQueueJournal, ResubmittedBuffer } from './device-queue-journal.ts';
import type { DeviceQueueRecorder } from './device-queue-recorder.ts';
import type { DeviceQueueState } from './device-queue-state.ts';
import { InFlightOrder } from './in-flight-order.ts';

/** What a layout requires of a device's end. */
export interface DeviceEndLayout {
  readonly layout: QueueLayout;
  readonly byteOrder: ByteOrder;
  readonly descriptorAccess: DeviceAccess;
  /** Bytes of the driver area. */
  readonly driverBytes: number;
  /** Bytes of the device area. */
  readonly deviceBytes: number;
  /** The position of the first used entry. */
  readonly firstPosition: number;
}

/**
 * The parts of a device's end that are the same for split and packed rings: reaching the ring, the buffers in flight,
 * returning them, copying indirect tables, the latch of a broken queue, and save. The subclass for a layout reads and
 * writes the ring, in positions: free-running 16-bit indices of a split ring, slot and wrap counter of a packed one.
 */
export abstract class DeviceEnd<Ring> implements DeviceQueue {
  readonly size: number;
  readonly longestChain: number;
  protected readonly space: DeviceAddressSpace;
  protected readonly options: DeviceQueueOptions;
  /** By id: slots of the ring that a buffer in flight takes (1 in a split ring), or 0. */
  protected readonly slots: Uint16Array;
  /** The indirect table copied last. */
  protected readonly table: DescriptorTable;
  /** The position of the next used entry. */
  protected usedPosition = 0;
  /** Slots of all buffers in flight. */
  protected inFlightSlots = 0;
  protected readonly journal: DeviceQueueJournal | undefined;
  /** Buffers of {@link DeviceQueueOptions.resubmitted} that were not taken yet; `undefined` where all were. */
  protected resubmitted: ResubmittedBuffer[] | undefined;
  readonly #layout: QueueLayout;
  readonly #borrowed: BorrowedRing;
  readonly #tableBytes: Uint8Array;
  readonly #order: InFlightOrder | undefined;
  #ring: Ring | undefined;
  /** Slots of the buffers pushed since the last `flush`. */
  #pushedSlots = 0;
  #popped = 0;
  #pushed = 0;
  #longTables = 0;
  #broken: BrokenReason | undefined;
  #recorder: DeviceQueueRecorder | undefined;
  /** Buffers that the recorder is to be told of until the next `flush`: popped ones, and pushed ones. */
  protected popsToTell = 0;
  #pushesToTell = 0;
  /** Of each push since the last `flush` how many buffers it left in flight, combined by "or". */
  #leftInFlight = 0;

  /** `layout` was checked against the addresses in `options`, and `restored` by `checkDeviceQueueState`. */
  constructor(
    space: DeviceAddressSpace,
    options: DeviceQueueOptions,
    { layout, byteOrder, descriptorAccess, driverBytes, deviceBytes, firstPosition }: DeviceEndLayout,
    restored: DeviceQueueState | undefined,
  ) {
    const { size } = options.addresses;
    this.size = size;
    this.longestChain = options.indirect ? Math.max(size, LONGEST_TABLE, options.tableEntries ?? 0) : size;
    this.space = space;
    this.options = options;
    this.journal = options.journal;
    this.slots = new Uint16Array(size);
    this.#layout = layout;
    this.#borrowed = new BorrowedRing(space, options.addresses, descriptorAccess, driverBytes, deviceBytes);
    this.#order = options.inOrder === true ? new InFlightOrder(size) : undefined;
    const table = new ArrayBuffer(this.longestChain * DESCRIPTOR_SIZE);
    this.#tableBytes = new Uint8Array(table);
    const views = { u16: new Uint16Array(table), u32: new Uint32Array(table) };
    this.table = openDescriptorTable(byteOrder, views, 0);
    this.usedPosition = restored?.used ?? firstPosition;
    for (const { id, slots, room } of restored?.inFlight ?? []) this.begin(id, slots, room);
    this.resubmitted = checkedResubmitted(options.resubmitted ?? [], layout, size - this.inFlightSlots);
  }

  get broken(): BrokenReason | undefined {
    return this.#broken;
  }

  get inFlight(): number {
    return (this.#popped - this.#pushed) | 0;
  }

  get popped(): number {
    return this.#popped;
  }

  get pushed(): number {
    return this.#pushed;
  }

  get servesOneByOne(): boolean {
    return this.#leftInFlight === 0;
  }

  get longTables(): number {
    return this.#longTables;
  }

  abstract pop(chain: DescriptorChain): boolean;
  abstract enableNotifications(): boolean;
  abstract disableNotifications(): void;
  abstract awaitsNotification(): boolean;
  abstract suppressesNotifications(): boolean;

  push(id: number, written: number): void {
    const slots = this.slots[id] ?? 0;
    if (slots === 0) throw new RangeError(`buffer ${id} is not in flight`);
    const order = this.#order;
    const isFull = order?.take(id, written) ?? false;
    this.journal?.returned(id);
    this.slots[id] = 0;
    this.#pushed = (this.#pushed + 1) | 0;
    this.#leftInFlight |= this.#popped - this.#pushed;
    this.inFlightSlots -= slots;
    const ring = this.reach();
    if (ring === undefined) return;
    if (order === undefined) this.writeUsed(ring, this.usedPosition, id, written);
    else {
      if (order.isHeldFinal) this.#writeHeld(ring, order);
      order.hold(id, this.usedPosition, written, isFull);
    }
    this.usedPosition = this.positionAfter(this.usedPosition, slots);
    this.#pushedSlots += slots;
    if (this.#pushesToTell > 0) this.#notePushed(id, written);
  }

  flush(): boolean {
    const moved = this.#pushedSlots;
    if (moved === 0) return false;
    const ring = this.reach();
    if (ring === undefined) return false;
    if (this.#order !== undefined) this.#writeHeld(ring, this.#order);
    this.#pushedSlots = 0;
    this.journal?.publishing(this.usedPosition);
    const isWanted = this.publishUsed(ring, moved);
    this.journal?.published(this.usedPosition);
    if (this.#recorder !== undefined) this.#noteFlushed(this.#recorder, isWanted);
    this.#leftInFlight = 0;
    return isWanted;
  }

  record(recorder: DeviceQueueRecorder): void {
    this.#recorder = recorder;
    this.popsToTell = recorder.each;
    this.#pushesToTell = recorder.each;
  }

  save(): DeviceQueueState {
    if (this.#broken !== undefined) throw new TypeError('the queue is broken');
    if (this.#pushedSlots > 0) throw new TypeError('a buffer was pushed and not flushed');
    const ids = [...this.slots.keys()].filter((id) => this.slots[id] !== 0);
    const inFlight = this.#order?.entries() ?? ids.map((id) => ({ id, room: 0 }));
    return {
      layout: this.#layout,
      size: this.size,
      words: [...this.options.addresses.words],
      used: this.usedPosition,
      inFlight: inFlight.map((buffer) => ({ ...buffer, slots: this.slots[buffer.id]! })),
    };
  }

  /** Opens the ring whose areas start at these bytes of the device's memory. */
  protected abstract openRing(descriptor: number, driver: number, device: number): Ring;

  /** The position `slots` further on. Hot. */
  protected abstract positionAfter(position: number, slots: number): number;

  /** Writes a used entry, which stays invisible to the driver until `publishUsed`. Hot. */
  protected abstract writeUsed(ring: Ring, position: number, id: number, written: number): void;

  /** Shows the used entries of the last `moved` slots to the driver. Returns whether it wants a notification. Hot. */
  protected abstract publishUsed(ring: Ring, moved: number): boolean;

  /** The ring, if the queue works and the ring is reachable; otherwise the queue is broken. Hot. */
  protected reach(): Ring | undefined {
    return this.#borrowed.isCurrent && this.#broken === undefined ? this.#ring : this.#reachAgain();
  }

  #reachAgain(): Ring | undefined {
    if (this.#broken !== undefined) return undefined;
    const result = this.#borrowed.reach();
    if (result === 'same') return this.#ring;
    if (result === 'unreachable') {
      this.break('ring-unreachable', 'the ring is not reachable');
      return undefined;
    }
    const { descriptor, driver, device } = this.#borrowed;
    return (this.#ring = this.openRing(descriptor, driver, device));
  }

  /** Where the device takes the next buffer that is not a resubmitted one, when the queue opens. */
  protected get firstAvailable(): number {
    const again = (this.resubmitted ?? []).reduce((sum, { descriptors }) => sum + Math.max(1, descriptors.length), 0);
    return this.positionAfter(this.usedPosition, this.inFlightSlots + again);
  }

  /** Takes the next resubmitted buffer, once `take` filled the chain with it. */
  protected resubmit(chain: DescriptorChain, take: (buffer: ResubmittedBuffer) => boolean): boolean {
    const buffer = this.resubmitted?.shift();
    if (this.resubmitted?.length === 0) this.resubmitted = undefined;
    if (buffer === undefined) return false;
    chain.clear(buffer.id);
    if (!take(buffer)) return false;
    this.begin(buffer.id, Math.max(1, buffer.descriptors.length), chain.writableBytes);
    if (this.popsToTell > 0) this.notePopped(chain);
    return true;
  }

  /** Tells of the buffer in `chain`. Hot. */
  protected notePopped(chain: DescriptorChain): void {
    this.popsToTell--;
    this.#recorder?.popped(chain, this.#popped);
  }

  #notePushed(id: number, written: number): void {
    this.#pushesToTell--;
    this.#recorder?.pushed(id, written, this.#pushed);
  }

  #noteFlushed(recorder: DeviceQueueRecorder, isWanted: boolean): void {
    recorder.flushed(isWanted, this.#popped, this.#pushed);
    this.popsToTell = recorder.each;
    this.#pushesToTell = recorder.each;
  }

  /** Counts a popped buffer as in flight. `writable` bytes of it may be written. */
  protected begin(id: number, slots: number, writable: number): void {
    this.slots[id] = slots;
    this.#popped = (this.#popped + 1) | 0;
    this.inFlightSlots += slots;
    this.#order?.add(id, writable);
  }

  /** Copies an indirect table into {@link table}. Returns its entries, or 0 where it broke the queue. */
  protected copyTable(low: number, high: number, bytes: number): number {
    const entries = bytes / DESCRIPTOR_SIZE;
    if (!Number.isInteger(entries) || entries === 0 || entries > this.longestChain) {
      const most = `the device takes ${this.longestChain} entries`;
      this.break('indirect-table-invalid', `a table of ${bytes} bytes in a queue of ${this.size}; ${most}`);
      return 0;
    }
    if (!this.space.read(low, high, this.#tableBytes, 0, bytes)) {
      this.break('ring-unreachable', 'an indirect table is not reachable');
      return 0;
    }
    if (entries > this.size) this.#longTables++;
    return entries;
  }

  /** Breaks the queue over descriptor `index` of a table or ring, which a chain does not take. Returns false. */
  protected breakAt(problem: BrokenCode, index: number, length: number, chain: DescriptorChain): false {
    return this.break(problem, `descriptor ${index} of ${length} bytes, segment ${chain.count}`);
  }

  /** Latches the queue broken. Returns false. */
  protected break(code: BrokenCode, detail: string): false {
    this.#broken = { code, detail };
    return false;
  }

  /** Writes the used entry held back: one for a batch, at the position of its first buffer, with the id of its last. */
  #writeHeld(ring: Ring, order: InFlightOrder): void {
    if (order.heldId < 0) return;
    this.writeUsed(ring, order.heldPosition, order.heldId, order.heldWritten);
    order.heldId = -1;
  }
}

/** Throws `RangeError` for buffers that cannot be in flight together in `room` slots. */
function checkedResubmitted(
  buffers: readonly ResubmittedBuffer[],
  layout: QueueLayout,
  room: number,
): ResubmittedBuffer[] | undefined {
  if (buffers.length === 0) return undefined;
  const slots = buffers.reduce((sum, { descriptors }) => sum + Math.max(1, descriptors.length), 0);
  if (slots > room) throw new RangeError(`${slots} slots are to be taken again, and the ring has ${room}`);
  const ids = new Set(buffers.map(({ id }) => id));
  if (ids.size < buffers.length) throw new RangeError('a buffer is to be taken again twice');
  const isWhole = buffers.every(({ descriptors }) => descriptors.length === 0 || layout === 'packed');
  if (!isWhole) throw new RangeError('a buffer of a split ring has its descriptors in the ring');
  return [...buffers];
}
