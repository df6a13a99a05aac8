import type { MappingSteps } from '@virtio-platform/core/negotiation';
import { VIRTIO_F_IN_ORDER, VIRTIO_F_RING_PACKED, VIRTIO_RING_F_EVENT_IDX } from '@virtio-platform/core/features';
import { slotOf } from '@virtio-platform/core/queue';
import type { Recording, StepEvent } from '../record/recording.ts';
import { ringView, type RingView } from '../state/ring-view.ts';
import { bufferOf, hasFeature, queueOf, type BufferState, type QueueState, type RunState } from '../state/run-state.ts';
import type { Step } from '../walk.ts';

/** What a step says: what happens and why it matters, and the section of the specification that it is by. */
export interface Told {
  readonly text: string;
  /** `2.7.13.3`; `null` where the specification leaves it to the platform, or to this program. */
  readonly section: string | null;
}

/** What the sentences of a step are made from. */
export class Telling {
  readonly recording: Recording;
  readonly event: StepEvent;
  readonly before: RunState;
  readonly after: RunState;
  /** The queue of the event after it; `undefined` for one of the whole device. */
  readonly queue: QueueState | undefined;
  /** The buffer that the event names by its id, as it is before or, where it is new, after. */
  readonly buffer: BufferState | undefined;
  /** The buffers that the event is about, as they are before it, the oldest first. */
  readonly buffers: readonly BufferState[];
  readonly isPacked: boolean;
  readonly eventIdx: boolean;
  readonly inOrder: boolean;
  #view: RingView | undefined;

  constructor(recording: Recording, { event, before, after, buffers }: Step) {
    this.recording = recording;
    this.event = event;
    this.before = before;
    this.after = after;
    this.queue = queueOf(after, event.queue);
    this.buffer = bufferOf(before, event.queue, event.id) ?? bufferOf(after, event.queue, event.id);
    this.buffers = before.buffers.filter(({ serial }) => buffers.includes(serial));
    this.isPacked = this.queue?.place?.layout === 'packed' || hasFeature(after, VIRTIO_F_RING_PACKED);
    this.eventIdx = hasFeature(after, VIRTIO_RING_F_EVENT_IDX);
    this.inOrder = hasFeature(after, VIRTIO_F_IN_ORDER);
  }

  /** The ring of the event's queue as its memory is after it; `undefined` where that was not recorded. */
  get view(): RingView | undefined {
    this.#view ??= this.queue && ringView(this.queue);
    return this.#view;
  }

  /** The section for the layout of the ring. */
  section(split: string, packed: string): string {
    return this.isPacked ? packed : split;
  }

  /** The buffers whose owner this event changes. */
  get moved(): readonly BufferState[] {
    const owners = new Map(this.before.buffers.map((buffer) => [buffer.serial, buffer.owner]));
    return this.after.buffers.filter(({ serial, owner }) => owners.has(serial) && owners.get(serial) !== owner);
  }

  /** What the platform says of a step of mapping; in general words where it says nothing, or the path is another. */
  mapping(step: keyof MappingSteps): string {
    const { mapping } = this.recording;
    const path = this.after.path ?? 'unknown';
    if (mapping !== null && mapping.path === path) return mapping.steps[step];
    const general = path === 'physical' ? PHYSICAL : path.startsWith('bounced') ? BOUNCED : GENERAL;
    return general[step];
  }
}

const PHYSICAL: MappingSteps = {
  map: 'On the path “physical” the device gets the guest-physical address, and the platform is not asked.',
  unmap: 'On the path “physical” there is nothing to undo.',
  region: 'On the path “physical” the device gets the guest-physical address, and the platform is not asked.',
  release: 'The memory goes back to the guest.',
  access: 'The device uses guest-physical addresses.',
};

const BOUNCED: MappingSteps = {
  map: 'The guest copies the buffer into a shared slot, and the device gets the address of the slot.',
  unmap: 'The guest copies back what the device wrote, and the slot is free again.',
  region: 'The region gets memory that is shared with the device.',
  release: 'The shared memory is given back.',
  access: 'The device reaches only what is shared with it.',
};

const GENERAL: MappingSteps = {
  map: 'The platform gives an address by which the device reaches the buffer.',
  unmap: 'The platform takes the address back.',
  region: 'The platform gives an address for the whole region, which stays mapped.',
  release: 'The platform takes the address back.',
  access: 'The platform translates the address.',
};

/** `buffer 3`, `buffers 3, 4 and 5`, `no buffer`, with `and 20 more` behind the first eight. */
export function named(buffers: readonly Pick<BufferState, 'id'>[]): string {
  if (buffers.length === 0) return 'no buffer';
  return `${buffers.length === 1 ? 'buffer' : 'buffers'} ${listed(buffers.map(({ id }) => String(id)))}`;
}

/** `1`, `1 and 2`, `1, 2 and 3`; behind the first eight, how many more. */
export function listed(words: readonly string[]): string {
  const shown = words.length > 9 ? [...words.slice(0, 8), `${words.length - 8} more`] : words;
  return shown.length < 2 ? (shown[0] ?? 'none') : `${shown.slice(0, -1).join(', ')} and ${shown.at(-1)!}`;
}

/** `1 byte`, `2 bytes`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** Hexadecimal, as addresses are written. */
export function hex(value: number | bigint): string {
  return `0x${value.toString(16)}`;
}

/** A position in a packed ring: `slot 3 (wrap 1)`. */
export function position(value: number): string {
  return `slot ${slotOf(value)} (wrap ${value >>> 15})`;
}
