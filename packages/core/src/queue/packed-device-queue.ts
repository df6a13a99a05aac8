import type { DeviceAddressSpace } from '../address-space/device-address-space.ts';
import { BorrowedRing } from './borrowed-ring.ts';
import type { BrokenCode, BrokenReason } from './broken-reason.ts';
import type { DescriptorChain } from './descriptor-chain.ts';
import { openDescriptorTable, type DescriptorTable } from './descriptor-table.ts';
import type { DeviceQueueState } from './device-queue-state.ts';
import type { DeviceQueue } from './device-queue.ts';
import { InFlightOrder } from './in-flight-order.ts';
import { packedNeedsNotification } from './notification.ts';
import {
  advance,
  FIRST_POSITION,
  isAvailable,
  RING_EVENT_FLAGS_DESC,
  RING_EVENT_FLAGS_DISABLE,
  RING_EVENT_FLAGS_ENABLE,
  RING_EVENT_SIZE,
  slotOf,
  usedFlags,
} from './packed-layout.ts';
import { openPackedRing } from './open-packed-ring.ts';
import type { PackedRing } from './packed-ring.ts';
import { DESCRIPTOR_SIZE, VIRTQ_DESC_F_INDIRECT, VIRTQ_DESC_F_NEXT, VIRTQ_DESC_F_WRITE } from './split-layout.ts';
import type { QueueAddresses } from './virtqueue.ts';

export interface PackedDeviceQueueOptions {
  readonly addresses: QueueAddresses;
  readonly eventIdx: boolean;
  /** Whether INDIRECT_DESC was negotiated. */
  readonly indirect: boolean;
  /** Whether IN_ORDER was negotiated: buffers go back in the order in which they were popped. */
  readonly inOrder?: boolean;
  /** The barrier to use where ORDER_PLATFORM was negotiated: `DmaMapping.barrier` of the driver's end. */
  readonly barrier?: (() => void) | undefined;
}

/**
 * The device's end of a packed virtqueue (specification 1.4 section 2.8). Believes nothing of the driver: ids are checked, lists
 * are bounded by the queue size, every field is read once, and an indirect table is copied before use.
 *
 * A used descriptor overwrites a slot that may hold another buffer's descriptor, so what a buffer takes of the ring is kept
 * here. The flags of the first buffer pushed since the last `flush` are written last: the driver sees all of them at once.
 */
export class PackedDeviceQueue implements DeviceQueue {
  readonly size: number;
  readonly #space: DeviceAddressSpace;
  readonly #options: PackedDeviceQueueOptions;
  readonly #borrowed: BorrowedRing;
  readonly #tableBytes: Uint8Array;
  readonly #table: DescriptorTable;
  /** By id: slots of the buffer in flight, or 0. */
  readonly #slots: Uint16Array;
  readonly #order: InFlightOrder | undefined;
  #ring: PackedRing | undefined;
  #availPosition = FIRST_POSITION;
  #usedPosition = FIRST_POSITION;
  /** Slots of what was pushed since the last `flush`, and the flags of the first of them, which are still held back. */
  #pushedSlots = 0;
  #heldSlot = 0;
  #heldFlags = 0;
  #isHolding = false;
  /** With IN_ORDER: the used descriptor not written yet, because a later buffer may take its place. */
  readonly #last = { id: -1, position: 0, written: 0, isFull: false };
  #inFlight = 0;
  #inFlightSlots = 0;
  #broken: BrokenReason | undefined;

  /** Throws `RangeError` for a size or an address that section 2.8.11 forbids. `restored` is what another one saved, checked. */
  constructor(space: DeviceAddressSpace, options: PackedDeviceQueueOptions, restored?: DeviceQueueState) {
    const { size, words } = options.addresses;
    if (!Number.isInteger(size) || size < 1 || size > 32768)
      throw new RangeError(`queue size ${size} is not in 1..32768`);
    if (words[0]! % 16 !== 0 || words[2]! % 4 !== 0 || words[4]! % 4 !== 0)
      throw new RangeError('a queue area is misaligned');
    this.size = size;
    this.#space = space;
    this.#options = options;
    this.#borrowed = new BorrowedRing(space, options.addresses, 'write', RING_EVENT_SIZE, RING_EVENT_SIZE);
    this.#slots = new Uint16Array(size);
    this.#order = options.inOrder === true ? new InFlightOrder(size) : undefined;
    const table = new ArrayBuffer(size * DESCRIPTOR_SIZE);
    this.#tableBytes = new Uint8Array(table);
    this.#table = openDescriptorTable('little', { u16: new Uint16Array(table), u32: new Uint32Array(table) }, 0);
    if (restored !== undefined) this.#restore(restored);
  }

  get broken(): BrokenReason | undefined {
    return this.#broken;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  pop(chain: DescriptorChain): boolean {
    const ring = this.#reach();
    if (ring === undefined) return false;
    const flags = ring.flags(slotOf(this.#availPosition));
    if (!isAvailable(flags, this.#availPosition)) return false;
    chain.clear(0);
    const slots =
      (flags & VIRTQ_DESC_F_INDIRECT) === 0 ? this.#walk(ring, chain, flags) : this.#walkTable(ring, chain, flags);
    if (slots === 0) return false;
    const id = ring.id(slotOf(advance(this.#availPosition, slots - 1, this.size)));
    if (id >= this.size)
      return this.#break('descriptor-index-out-of-range', `buffer id ${id} in a queue of ${this.size}`);
    if (this.#slots[id] !== 0) return this.#break('descriptor-already-in-flight', `buffer id ${id} is in flight`);
    if (this.#inFlightSlots + slots > this.size) {
      return this.#break('available-index-out-of-range', `${this.#inFlightSlots} and ${slots} slots in flight`);
    }
    chain.head = id;
    this.#slots[id] = slots;
    this.#inFlight++;
    this.#inFlightSlots += slots;
    this.#order?.add(id, chain.writableBytes);
    this.#availPosition = advance(this.#availPosition, slots, this.size);
    return true;
  }

  push(id: number, written: number): void {
    const slots = this.#slots[id] ?? 0;
    if (slots === 0) throw new RangeError(`buffer id ${id} is not in flight`);
    const isFull = this.#order?.take(id, written) ?? false;
    this.#slots[id] = 0;
    this.#inFlight--;
    this.#inFlightSlots -= slots;
    const ring = this.#reach();
    if (ring === undefined) return;
    if (this.#order === undefined) this.#writeUsed(ring, this.#usedPosition, id, written);
    else this.#pushInOrder(ring, id, written, isFull);
    this.#usedPosition = advance(this.#usedPosition, slots, this.size);
    this.#pushedSlots += slots;
  }

  flush(): boolean {
    const moved = this.#pushedSlots;
    if (moved === 0) return false;
    const ring = this.#reach();
    if (ring === undefined) return false;
    this.#writeLast(ring);
    ring.publishFlags(this.#heldSlot, this.#heldFlags);
    this.#isHolding = false;
    this.#pushedSlots = 0;
    return packedNeedsNotification(ring.driverEvent(), this.#usedPosition, moved, this.size, this.#options.eventIdx);
  }

  enableNotifications(): boolean {
    const ring = this.#reach();
    if (ring === undefined) return true;
    if (this.#options.eventIdx) ring.writeDeviceEvent(this.#availPosition, RING_EVENT_FLAGS_DESC);
    else ring.writeDeviceEvent(0, RING_EVENT_FLAGS_ENABLE);
    return !isAvailable(ring.flags(slotOf(this.#availPosition)), this.#availPosition);
  }

  disableNotifications(): void {
    this.#reach()?.writeDeviceEvent(0, RING_EVENT_FLAGS_DISABLE);
  }

  save(): DeviceQueueState {
    if (this.#broken !== undefined) throw new TypeError('the queue is broken');
    if (this.#pushedSlots > 0) throw new TypeError('a buffer was pushed and not flushed');
    const { size, words } = this.#options.addresses;
    const ids = [...this.#slots.keys()].filter((id) => this.#slots[id] !== 0);
    const inFlight = this.#order?.entries() ?? ids.map((id) => ({ id, room: 0 }));
    return {
      layout: 'packed',
      size,
      words: [...words],
      used: this.#usedPosition,
      inFlight: inFlight.map((buffer) => ({ ...buffer, slots: this.#slots[buffer.id]! })),
    };
  }

  #restore({ used, inFlight }: DeviceQueueState): void {
    for (const { id, slots, room } of inFlight) {
      this.#slots[id] = slots;
      this.#inFlightSlots += slots;
      this.#order?.add(id, room);
    }
    this.#inFlight = inFlight.length;
    this.#usedPosition = used;
    this.#availPosition = advance(used, this.#inFlightSlots, this.size);
  }

  /** Writes a used descriptor, and holds back its flags until `flush` where it is the first since. */
  #writeUsed(ring: PackedRing, position: number, id: number, written: number): void {
    const slot = slotOf(position);
    const flags = usedFlags(position) | (written > 0 ? VIRTQ_DESC_F_WRITE : 0);
    ring.writeUsed(slot, id, written);
    if (this.#isHolding) return ring.writeFlags(slot, flags);
    this.#isHolding = true;
    this.#heldSlot = slot;
    this.#heldFlags = flags;
  }

  /** One used descriptor stands for a batch: in the slot of its first buffer, with the id of its last (section 2.8.8). */
  #pushInOrder(ring: PackedRing, id: number, written: number, isFull: boolean): void {
    const last = this.#last;
    if (last.id >= 0 && !last.isFull) this.#writeLast(ring);
    if (last.id < 0) last.position = this.#usedPosition;
    last.id = id;
    last.written = written;
    last.isFull = isFull;
  }

  #writeLast(ring: PackedRing): void {
    const last = this.#last;
    if (last.id < 0) return;
    this.#writeUsed(ring, last.position, last.id, last.written);
    last.id = -1;
  }

  #reach(): PackedRing | undefined {
    if (this.#broken !== undefined) return undefined;
    const result = this.#borrowed.reach();
    if (result === 'same') return this.#ring;
    if (result === 'unreachable') {
      this.#break('ring-unreachable', 'the ring is not reachable');
      return undefined;
    }
    const { descriptor, driver, device } = this.#borrowed;
    return (this.#ring = openPackedRing(this.#space.memory, descriptor, driver, device, this.#options.barrier));
  }

  /** Copies a list of the ring's own descriptors. Returns how many slots it takes, or 0 when it broke the queue. */
  #walk(ring: PackedRing, chain: DescriptorChain, firstFlags: number): number {
    let position = this.#availPosition;
    for (let flags = firstFlags, slots = 1; ; slots++) {
      const slot = slotOf(position);
      if (!this.#append(chain, ring.low(slot), ring.high(slot), ring.length(slot), flags)) return 0;
      if ((flags & VIRTQ_DESC_F_NEXT) === 0) return slots;
      if (slots === this.size) {
        this.#break('descriptor-chain-too-long', `a list of more than ${this.size} descriptors`);
        return 0;
      }
      position = advance(position, 1, this.size);
      flags = ring.flagsBehind(slotOf(position));
      // The driver makes a list available from its end (section 2.8.17): all of it is, once the first one is.
      if (!isAvailable(flags, position)) {
        this.#break('descriptor-not-available', `slot ${slotOf(position)} of a list has flags 0x${flags.toString(16)}`);
        return 0;
      }
      if ((flags & VIRTQ_DESC_F_INDIRECT) !== 0) {
        this.#break('indirect-table-invalid', 'a table in a list of descriptors');
        return 0;
      }
    }
  }

  /** Copies an indirect table, in order; of its flags only WRITE counts (section 2.8.7). */
  #walkTable(ring: PackedRing, chain: DescriptorChain, flags: number): number {
    const slot = slotOf(this.#availPosition);
    const bytes = ring.length(slot);
    const entries = bytes / DESCRIPTOR_SIZE;
    const isValid = this.#options.indirect && (flags & VIRTQ_DESC_F_NEXT) === 0;
    if (!isValid || !Number.isInteger(entries) || entries === 0 || entries > this.size) {
      this.#break('indirect-table-invalid', `a table of ${bytes} bytes, flags 0x${flags.toString(16)}`);
      return 0;
    }
    if (!this.#space.read(ring.low(slot), ring.high(slot), this.#tableBytes, 0, bytes)) {
      this.#break('ring-unreachable', 'an indirect table is not reachable');
      return 0;
    }
    const table = this.#table;
    for (let i = 0; i < entries; i++) {
      // Where a split descriptor has next, a packed one has its flags.
      if (!this.#append(chain, table.low(i), table.high(i), table.length(i), table.next(i))) return 0;
    }
    return 1;
  }

  #append(chain: DescriptorChain, low: number, high: number, length: number, flags: number): boolean {
    const problem = chain.append(low, high, length, (flags & VIRTQ_DESC_F_WRITE) !== 0, this.size);
    return problem === undefined || this.#break(problem, `segment ${chain.count} of ${length} bytes`);
  }

  #break(code: BrokenCode, detail: string): false {
    this.#broken = { code, detail };
    return false;
  }
}
