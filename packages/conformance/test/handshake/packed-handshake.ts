import {
  advance,
  availableFlags,
  FIRST_POSITION,
  isAvailable,
  isUsed,
  needsNotification,
  packedNeedsNotification,
  RING_EVENT_FLAGS_DESC,
  RING_EVENT_FLAGS_DISABLE,
  RING_EVENT_FLAGS_ENABLE,
  slotOf,
  usedFlags,
  VIRTQ_DESC_F_NEXT,
} from '@virtio-platform/core/queue';
import { load, store, type Access, type Operation } from './agent-system.ts';
import { enable, show, type HandshakeFault } from './handshake.ts';
import type { DeviceEnd, DriverEnd } from './programs.ts';

export interface PackedHandshakeOptions {
  readonly size: number;
  readonly eventIdx: boolean;
  /** Whether one used descriptor stands for a batch: of all that was returned since something was shown. */
  readonly inOrder?: boolean;
  /** Slots of the first buffer, of the second, and so on, over and over. */
  readonly lists: readonly number[];
}

/**
 * The flags of every slot, and both event suppression structures, each one word. With IN_ORDER the word of a used slot
 * has, above its flags, how many buffers it stands for: in a real ring that is told by the id, which is there before
 * the flags are.
 */
export function packedWords(size: number): Record<string, number> {
  const slots = Array.from({ length: size }, (_, slot) => [`slot ${slot}`, 0]);
  return { ...Object.fromEntries(slots), driverEvent: 0, deviceEvent: 0 };
}

/** Flags written since something was shown last. The first ones are held back, and shown as the last. */
class HeldFlags {
  slots = 0;
  first: { readonly slot: number; readonly flags: number } | undefined;
  /** With IN_ORDER: how many buffers the first flags stand for. */
  batch = 0;

  *write(position: number, flags: number, slots: number): Operation {
    if (this.first === undefined) this.first = { slot: slotOf(position), flags };
    else yield store(slotWord(position), flags, true);
    this.slots += slots;
  }

  /** Makes the first flags stand for one buffer more. */
  extend(position: number, flags: number, slots: number): void {
    this.first ??= { slot: slotOf(position), flags };
    this.batch++;
    this.slots += slots;
  }

  /** The store that shows all of it. */
  release(): Access {
    const { slot, flags } = this.first!;
    const word = flags | (this.batch << 16);
    this.slots = 0;
    this.batch = 0;
    this.first = undefined;
    return store(slotWord(slot), word);
  }
}

/** Where an end of a packed ring is, and how the explored one behaves. */
class PackedEnd {
  availPosition: number = FIRST_POSITION;
  usedPosition: number = FIRST_POSITION;
  readonly held: HeldFlags = new HeldFlags();
  protected readonly options: PackedHandshakeOptions;
  protected readonly fault: HandshakeFault | undefined;

  constructor(options: PackedHandshakeOptions, fault?: HandshakeFault) {
    this.options = options;
    this.fault = fault;
  }
}

/** What `PackedVirtqueue` does to shared words, in its order. */
export class PackedDriverModel extends PackedEnd implements DriverEnd {
  added = 0;
  taken = 0;
  free: number;
  /** Buffers of the batch that is being taken. */
  left = 0;

  constructor(options: PackedHandshakeOptions, fault?: HandshakeFault) {
    super(options, fault);
    this.free = options.size;
  }

  hasRoom(): boolean {
    return slotsOf(this.added, this.options) <= this.free;
  }

  *add(): Operation {
    const { size } = this.options;
    const slots = slotsOf(this.added, this.options);
    const first = this.availPosition;
    for (let i = 1; i < slots; i++) {
      const position = advance(first, i, size);
      yield store(slotWord(position), availableFlags(position) | (i < slots - 1 ? VIRTQ_DESC_F_NEXT : 0), true);
    }
    yield* this.held.write(first, availableFlags(first) | (slots > 1 ? VIRTQ_DESC_F_NEXT : 0), slots);
    this.availPosition = advance(first, slots, size);
    this.free -= slots;
    this.added++;
  }

  *publish(): Operation<boolean> {
    const moved = this.held.slots;
    const isWanted = wants(this.availPosition, moved, this.options, this.fault);
    return yield* show(this.held.release(), 'deviceEvent', isWanted, this.fault);
  }

  *take(): Operation<boolean> {
    if (this.left === 0) {
      const word = yield load(slotWord(this.usedPosition));
      if (!isUsed(word, this.usedPosition)) return false;
      this.left = this.options.inOrder === true ? word >>> 16 : 1;
    }
    this.left--;
    const slots = slotsOf(this.taken, this.options);
    this.usedPosition = advance(this.usedPosition, slots, this.options.size);
    this.free += slots;
    this.taken++;
    return true;
  }

  *enableNotifications(): Operation<boolean> {
    const position = this.usedPosition;
    const ask = store('driverEvent', askFor(position, this.options, this.fault));
    return yield* enable(ask, slotWord(position), (flags) => !isUsed(flags, position), this.fault);
  }

  *enableNotificationsDelayed(): Operation<boolean> {
    const { size, eventIdx } = this.options;
    if (!eventIdx) return yield* this.enableNotifications();
    const most = Math.floor(((size - this.free - this.held.slots) * 3) / 4);
    const event = advance(this.usedPosition, most, size);
    const ask = store('driverEvent', askFor(event, this.options, this.fault));
    const position = this.fault === 're-check at the event' ? event : this.usedPosition;
    return yield* enable(ask, slotWord(position), (flags) => !isUsed(flags, position), this.fault);
  }

  *disableNotifications(): Operation {
    yield store('driverEvent', eventWord(0, RING_EVENT_FLAGS_DISABLE));
  }
}

/** What `PackedDeviceQueue` does to shared words, in its order. */
export class PackedDeviceModel extends PackedEnd implements DeviceEnd {
  popped = 0;
  pushed = 0;

  *pop(): Operation<boolean> {
    let position = this.availPosition;
    let flags = yield load(slotWord(position));
    if (!isAvailable(flags, position)) return false;
    while ((flags & VIRTQ_DESC_F_NEXT) !== 0) {
      position = advance(position, 1, this.options.size);
      flags = yield load(slotWord(position));
      if (!isAvailable(flags, position)) throw new TypeError(`${slotWord(position)} of a list is not available`);
    }
    this.availPosition = advance(position, 1, this.options.size);
    this.popped++;
    return true;
  }

  *push(): Operation {
    const slots = slotsOf(this.pushed, this.options);
    if (this.options.inOrder === true) this.held.extend(this.usedPosition, usedFlags(this.usedPosition), slots);
    else yield* this.held.write(this.usedPosition, usedFlags(this.usedPosition), slots);
    this.usedPosition = advance(this.usedPosition, slots, this.options.size);
    this.pushed++;
  }

  *flush(): Operation<boolean> {
    if (this.held.slots === 0) return false;
    const moved = this.fault === 'a batch counts once' ? 1 : this.held.slots;
    const isWanted = wants(this.usedPosition, moved, this.options, this.fault);
    return yield* show(this.held.release(), 'driverEvent', isWanted, this.fault);
  }

  *enableNotifications(): Operation<boolean> {
    const position = this.availPosition;
    const ask = store('deviceEvent', askFor(position, this.options, this.fault));
    return yield* enable(ask, slotWord(position), (flags) => !isAvailable(flags, position), this.fault);
  }

  *disableNotifications(): Operation {
    yield store('deviceEvent', eventWord(0, RING_EVENT_FLAGS_DISABLE));
  }
}

function slotsOf(buffer: number, { lists }: PackedHandshakeOptions): number {
  return lists[buffer % lists.length]!;
}

function slotWord(position: number): string {
  return `slot ${slotOf(position)}`;
}

function eventWord(position: number, flags: number): number {
  return position | (flags << 16);
}

function askFor(position: number, options: PackedHandshakeOptions, fault: HandshakeFault | undefined): number {
  if (!options.eventIdx) return eventWord(0, RING_EVENT_FLAGS_ENABLE);
  const event = fault === 'event one too far' ? advance(position, 1, options.size) : position;
  return eventWord(event, RING_EVENT_FLAGS_DESC);
}

/** The test of an end that stands at `position` after `moved` slots. */
function wants(
  position: number,
  moved: number,
  { size, eventIdx }: PackedHandshakeOptions,
  fault: HandshakeFault | undefined,
): (event: number) => boolean {
  return (event) => {
    if (fault === 'no wrap' && event >>> 16 === RING_EVENT_FLAGS_DESC) {
      return needsNotification(slotOf(event), slotOf(position), slotOf(position) - moved);
    }
    return packedNeedsNotification(event, position, moved, size, eventIdx);
  };
}
