import type { BenchSegment, DescribeOptions, RawDescriptor, ReturnedBuffer } from '@virtio-platform/core';
import {
  advance,
  availableFlags,
  FIRST_POSITION,
  isUsed,
  packedNeedsNotification,
  RING_EVENT_FLAGS_DESC,
  RING_EVENT_FLAGS_DISABLE,
  RING_EVENT_FLAGS_ENABLE,
  RING_EVENT_SIZE,
  slotOf,
  usedFlags,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_WRITE,
} from '@virtio-platform/core/queue';
import { descriptorOf, encode, RawRing, type RingSetting } from './raw-ring.ts';
import type { WatchedMemory } from './watched-memory.ts';

/** Offsets of fields in an event suppression structure, and of the flags in a descriptor. */
const POSITION = 0;
const EVENT_FLAGS = 2;
const DESCRIPTOR_FLAGS = 14;

const hex = (value: number): string => `0x${value.toString(16)}`;
const position = (value: number): string => `${slotOf(value)} (wrap ${value >>> 15})`;

/** A packed ring (specification 1.4 section 2.8) that is written by hand. */
export class RawPackedRing extends RawRing {
  readonly layout = 'packed';
  #available = FIRST_POSITION;
  #used = FIRST_POSITION;
  /** Behind what was published; and slots since the last question whether to kick, published and not yet. */
  #published = FIRST_POSITION;
  #moved = 0;
  #added = 0;
  /** The flags of the first slot since the last `publish`, which make all of them visible. */
  #held: { readonly slot: number; readonly flags: number } | undefined;

  constructor(memory: WatchedMemory, setting: RingSetting) {
    super(memory, setting, { descriptor: 16 * setting.size, driver: RING_EVENT_SIZE, device: RING_EVENT_SIZE });
    memory.mayWrite(this.descriptorArea.address, this.descriptorArea.length);
    const { start = FIRST_POSITION } = setting;
    if (start !== FIRST_POSITION) this.#goOnAt(start);
  }

  get nextAvailable(): number {
    return this.#available;
  }

  get nextUsed(): number {
    return this.#used;
  }

  add(segments: readonly BenchSegment[], options: DescribeOptions = {}): number {
    const { indirect = false, at, tableFlags = 0 } = options;
    if (typeof indirect === 'number' && indirect > 0) throw new TypeError('a packed list is a table or none');
    const listed =
      indirect === false
        ? segments.map((segment) => descriptorOf(segment, 0, 0))
        : [descriptorOf({ buffer: this.writeTable(segments, false) }, VIRTQ_DESC_F_INDIRECT | tableFlags, 0)];
    const ids = this.reserve(listed.length, at);
    const id = ids[0]!;
    for (const [i, descriptor] of listed.entries()) {
      const flags = descriptor.flags | (i < listed.length - 1 ? VIRTQ_DESC_F_NEXT : 0);
      this.pushSlot({ ...descriptor, flags: flags | availableFlags(this.#available), next: id });
    }
    this.given(id, ids, segments);
    return id;
  }

  pushSlot(descriptor: RawDescriptor): void {
    const slot = slotOf(this.#available);
    const { low, high, length, flags, next } = descriptor;
    const isFirst = this.#held === undefined;
    if ((flags & VIRTQ_DESC_F_WRITE) !== 0) this.memory.grant(low, high, length);
    // The flags of the first slot stay those of the last lap until all of the others are written.
    const visible = isFirst ? this.peek('descriptor', 16 * slot + DESCRIPTOR_FLAGS) : flags;
    this.memory.write(this.descriptorArea.address + 16 * slot, encode(low, high, length, next, visible));
    if (isFirst) this.#held = { slot, flags };
    this.#available = advance(this.#available, 1, this.size);
    this.#added++;
  }

  pushHead(_head: number): void {
    throw new TypeError('a packed ring has no available ring');
  }

  publish(): void {
    if (this.#held === undefined) return;
    this.#published = this.#available;
    this.#moved += this.#added;
    this.#added = 0;
    const { slot, flags } = this.#held;
    this.#held = undefined;
    this.poke('descriptor', 16 * slot + DESCRIPTOR_FLAGS, flags);
  }

  wantNotifications(isWanted: boolean): void {
    this.poke('driver', EVENT_FLAGS, isWanted ? RING_EVENT_FLAGS_ENABLE : RING_EVENT_FLAGS_DISABLE);
  }

  wantNotificationAt(position: number): void {
    this.poke('driver', POSITION, position);
    this.poke('driver', EVENT_FLAGS, RING_EVENT_FLAGS_DESC);
  }

  wantsKick(): boolean {
    const event = this.peek('device', POSITION) | (this.peek('device', EVENT_FLAGS) << 16);
    const moved = this.#moved;
    this.#moved = 0;
    return packedNeedsNotification(event, this.#published, moved, this.size, this.setting.eventIdx);
  }

  inspect(): readonly string[] {
    const slots = Array.from({ length: Math.min(4, this.size) }, (_, i) => {
      const slot = (slotOf(this.#used) + i) % this.size;
      const flags = this.peek('descriptor', 16 * slot + DESCRIPTOR_FLAGS);
      return `${slot}: id ${this.peek('descriptor', 16 * slot + 12)} flags ${hex(flags)}`;
    });
    return [
      `packed ring of ${this.size}, queue ${this.index}; ${this.outstanding} buffers at the device`,
      `next available ${position(this.#available)}, next used ${position(this.#used)}`,
      `driver event ${hex(this.peek('driver', POSITION))} flags ${this.peek('driver', EVENT_FLAGS)}; ` +
        `device event ${hex(this.peek('device', POSITION))} flags ${this.peek('device', EVENT_FLAGS)}`,
      `slots from the next used: ${slots.join('; ')}`,
    ];
  }

  /** As a driver that has made buffers available before, all of which came back: each slot is used, of its own lap. */
  #goOnAt(start: number): void {
    this.#available = this.#published = this.#used = start;
    for (let slot = 0; slot < this.size; slot++) {
      const lap = slot < slotOf(start) ? start : start ^ FIRST_POSITION;
      this.poke('descriptor', 16 * slot + DESCRIPTOR_FLAGS, usedFlags(lap));
    }
  }

  protected takeEntry(): ReturnedBuffer | undefined {
    const at = 16 * slotOf(this.#used);
    const flags = this.peek('descriptor', at + DESCRIPTOR_FLAGS);
    if (!isUsed(flags, this.#used)) return undefined;
    const id = this.peek('descriptor', at + 12);
    const length = this.memory.guest.view.getUint32(this.descriptorArea.address + at + 8, true);
    this.#used = advance(this.#used, Math.min(this.batchOf(id).slots, this.size), this.size);
    // Without WRITE the length means nothing (2.8.3). A driver of a device that marks none takes what can be a length.
    const mayBeOne = this.setting.unmarkedLengths === true && length <= this.writableOf(id);
    const isSaid = (flags & VIRTQ_DESC_F_WRITE) !== 0 || mayBeOne;
    return { id, length: isSaid ? length : 0, flags };
  }

  protected tail(flags: number, next: number): readonly [number, number] {
    return [next, flags];
  }
}
