import type { BenchSegment, DescribeOptions, RawDescriptor, ReturnedBuffer } from '@virtio-platform/core';
import {
  DESCRIPTOR_SIZE,
  needsNotification,
  VIRTQ_AVAIL_F_NO_INTERRUPT,
  VIRTQ_DESC_F_INDIRECT,
  VIRTQ_DESC_F_NEXT,
  VIRTQ_DESC_F_WRITE,
  VIRTQ_USED_F_NO_NOTIFY,
} from '@virtio-platform/core/queue';
import { descriptorOf, encode, RawRing, type RingSetting } from './raw-ring.ts';
import type { WatchedMemory } from './watched-memory.ts';

/** Offsets of fields: flags and index in front of both rings. */
const FLAGS = 0;
const INDEX = 2;
const ENTRIES = 4;

/** A split ring (specification 1.4 section 2.7) that is written by hand. */
export class RawSplitRing extends RawRing {
  readonly layout = 'split';
  #available = 0;
  #published = 0;
  /** The available index at the last question whether to kick. */
  #asked = 0;
  #used = 0;

  constructor(memory: WatchedMemory, setting: RingSetting) {
    const { size } = setting;
    super(memory, setting, { descriptor: 16 * size, driver: 6 + 2 * size, device: 6 + 8 * size });
    const { start = 0 } = setting;
    if (start !== 0) this.#goOnAt(start);
  }

  get nextAvailable(): number {
    return this.#available;
  }

  get nextUsed(): number {
    return this.#used;
  }

  add(segments: readonly BenchSegment[], options: DescribeOptions = {}): number {
    const { indirect = false, at, tableFlags = 0 } = options;
    const direct = indirect === false ? segments.length : indirect === true ? 0 : indirect;
    const places = this.reserve(direct + (indirect === false ? 0 : 1), at);
    for (const [i, place] of places.entries()) {
      const isLast = i === places.length - 1;
      const flags = isLast ? 0 : VIRTQ_DESC_F_NEXT;
      const next = places[i + 1] ?? 0;
      if (i < direct) {
        this.describe(place, descriptorOf(segments[i]!, flags, next));
      } else {
        const table = this.writeTable(segments.slice(direct), true);
        this.describe(place, descriptorOf({ buffer: table }, VIRTQ_DESC_F_INDIRECT | tableFlags, 0));
      }
    }
    this.given(places[0]!, places, segments);
    this.pushHead(places[0]!);
    return places[0]!;
  }

  pushHead(head: number): void {
    this.poke('driver', ENTRIES + 2 * (this.#available % this.size), head);
    this.#available = (this.#available + 1) & 0xffff;
  }

  pushSlot(_descriptor: RawDescriptor): void {
    throw new TypeError('a split ring has no slots');
  }

  publish(): void {
    this.#published = this.#available;
    this.poke('driver', INDEX, this.#published);
  }

  wantNotifications(isWanted: boolean): void {
    if (!this.setting.eventIdx) this.poke('driver', FLAGS, isWanted ? 0 : VIRTQ_AVAIL_F_NO_INTERRUPT);
    else this.wantNotificationAt(isWanted ? this.#used : (this.#used + 0x8000) & 0xffff);
  }

  wantNotificationAt(position: number): void {
    this.poke('driver', ENTRIES + 2 * this.size, position);
  }

  wantsKick(): boolean {
    const previous = this.#asked;
    this.#asked = this.#published;
    if (!this.setting.eventIdx) return (this.peek('device', FLAGS) & VIRTQ_USED_F_NO_NOTIFY) === 0;
    return needsNotification(this.peek('device', ENTRIES + 8 * this.size), this.#published, previous);
  }

  inspect(): readonly string[] {
    const used = this.peek('device', INDEX);
    const entry = (i: number): string => {
      const [id, length] = this.#entry(i);
      return `${i}: id ${id} length ${length}`;
    };
    const recent = Array.from({ length: Math.min(4, this.size, used) }, (_, i) => entry((used - 1 - i) & 0xffff));
    return [
      `split ring of ${this.size}, queue ${this.index}; ${this.outstanding} buffers at the device`,
      `available: flags ${this.peek('driver', FLAGS)} idx ${this.peek('driver', INDEX)} ` +
        `used_event ${this.peek('driver', ENTRIES + 2 * this.size)}`,
      `used: flags ${this.peek('device', FLAGS)} idx ${used} (taken ${this.#used}) ` +
        `avail_event ${this.peek('device', ENTRIES + 8 * this.size)}`,
      ...(recent.length > 0 ? [`used entries, newest first: ${recent.join('; ')}`] : []),
    ];
  }

  protected takeEntry(): ReturnedBuffer | undefined {
    if (this.peek('device', INDEX) === this.#used) return undefined;
    const [id, length] = this.#entry(this.#used);
    this.#used = (this.#used + this.batchOf(id).buffers) & 0xffff;
    return { id, length, flags: 0 };
  }

  protected tail(flags: number, next: number): readonly [number, number] {
    return [flags, next];
  }

  /** As a driver that has made buffers available before, all of which came back. */
  #goOnAt(start: number): void {
    this.#available = this.#published = this.#asked = this.#used = start;
    this.poke('driver', INDEX, start);
    this.poke('device', INDEX, start);
    // A device that starts elsewhere finds a buffer that came back, and writes where it may not.
    const last = this.size - 1;
    const { low, high } = this.memory.allocate('a buffer that came back', 16);
    const old = encode(low, high, 16, VIRTQ_DESC_F_WRITE, 0);
    this.memory.write(this.descriptorArea.address + DESCRIPTOR_SIZE * last, old);
    for (let slot = 0; slot < this.size; slot++) this.poke('driver', ENTRIES + 2 * slot, last);
    if (this.setting.eventIdx) this.poke('device', ENTRIES + 8 * this.size, start);
  }

  #entry(index: number): readonly [number, number] {
    const at = this.deviceArea.address + ENTRIES + 8 * (index % this.size);
    const view = this.memory.guest.view;
    return [view.getUint32(at, true), view.getUint32(at + 4, true)];
  }
}
