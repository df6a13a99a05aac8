import type { RingPlace, StepEvent } from '../record/recording.ts';
import { reduce } from './reduce.ts';
import { ringView, segmentsOf, type Descriptor } from './ring-view.ts';
import { NOTHING_YET, type RunState } from './run-state.ts';

/** A buffer while events are matched with it. */
interface Life {
  readonly serial: number;
  readonly queue: number;
  readonly id: number;
  isPublished: boolean;
  isPushed: boolean;
}

/** The mapping of a buffer or, before its `add`, of one that is being described. */
interface Mapped {
  readonly queue: number;
  readonly id: number;
  readonly address: bigint;
  readonly length: bigint;
  /** The index of its `map`, while no buffer is known for it. */
  readonly at: number;
  serial: number;
}

/**
 * The serials of the buffers that each event is about, the oldest first. A mapping belongs to the buffer that is added
 * next in its queue; an access of the device to the one whose memory it is in.
 */
export function buffersOfEvents(events: readonly StepEvent[]): readonly (readonly number[])[] {
  const found: number[][] = events.map(() => []);
  const matcher = new Matcher(found);
  let state = NOTHING_YET;
  for (const [at, event] of events.entries()) {
    const isAccess = event.kind === 'read' || event.kind === 'write' || event.kind === 'borrow';
    const serials = matcher.match(event, at);
    found[at]!.push(...(isAccess && serials.length === 0 ? describedAt(state, event.deviceAddress) : serials));
    state = reduce(state, event);
  }
  return found;
}

/** The outstanding buffer with a segment at an address, by its descriptors in memory: of one that was mapped before. */
function describedAt({ queues, buffers }: RunState, address: bigint): readonly number[] {
  for (const queue of queues) {
    const view = ringView(queue);
    if (view === undefined) continue;
    const own = buffers.filter((buffer) => buffer.queue === queue.index && buffer.owner !== 'driver');
    const is = (one: Descriptor): boolean => address >= one.address && address < one.address + BigInt(one.length);
    const buffer = own.find((one) => segmentsOf(view, one).some(is));
    if (buffer !== undefined) return [buffer.serial];
  }
  return [];
}

class Matcher {
  readonly #found: number[][];
  readonly #lives: Life[] = [];
  readonly #mapped: Mapped[] = [];
  /** By queue: the buffers of its last publication. */
  readonly #published = new Map<number, readonly number[]>();
  /** By queue. */
  readonly #places = new Map<number, RingPlace>();
  #serial = 0;

  constructor(found: number[][]) {
    this.#found = found;
  }

  match({ kind, queue, id, deviceAddress, length, placed }: StepEvent, at: number): readonly number[] {
    for (const place of placed) this.#places.set(place.queue, place);
    switch (kind) {
      case 'map':
        if (id >= 0) this.#mapped.push({ queue, id, address: deviceAddress, length: BigInt(length), at, serial: 0 });
        return [];
      case 'add':
        return id < 0 ? [] : this.#add(queue, id);
      case 'publish':
        return this.#publish(queue);
      case 'notify':
        return this.#published.get(queue) ?? [];
      case 'pop':
      case 'push':
        return this.#ofDevice(queue, id, kind === 'push');
      case 'flush': {
        const shown = this.#of(queue).filter(({ isPushed }) => isPushed);
        for (const life of shown) life.isPushed = false;
        return shown.map(({ serial }) => serial);
      }
      case 'read':
      case 'write':
      case 'borrow':
        return this.#at(deviceAddress);
      case 'unmap':
        return this.#unmap(queue, id);
      case 'takeUsed':
      case 'takeBack':
        return this.#end(queue, id);
      default:
        return [];
    }
  }

  #of(queue: number): Life[] {
    return this.#lives.filter((life) => life.queue === queue);
  }

  #add(queue: number, id: number): readonly number[] {
    const serial = ++this.#serial;
    this.#lives.push({ serial, queue, id, isPublished: false, isPushed: false });
    for (const mapped of this.#mapped) {
      if (mapped.queue !== queue || mapped.serial > 0) continue;
      mapped.serial = serial;
      this.#found[mapped.at]!.push(serial);
    }
    return [serial];
  }

  #publish(queue: number): readonly number[] {
    const fresh = this.#of(queue).filter(({ isPublished }) => !isPublished);
    for (const life of fresh) life.isPublished = true;
    const serials = fresh.map(({ serial }) => serial);
    this.#published.set(queue, serials);
    return serials;
  }

  #ofDevice(queue: number, id: number, isPushed: boolean): readonly number[] {
    const life = this.#of(queue).find((one) => one.id === id);
    if (life === undefined) return [];
    if (isPushed) life.isPushed = true;
    return [life.serial];
  }

  #at(address: bigint): readonly number[] {
    const is = (one: Mapped): boolean => address >= one.address && address < one.address + one.length;
    const mapped = this.#mapped.find((one) => one.serial > 0 && is(one));
    return mapped === undefined ? this.#atTable(address) : [mapped.serial];
  }

  /** The buffer whose indirect table is at an address: each head has its own. */
  #atTable(address: bigint): readonly number[] {
    for (const { queue, size, tables } of this.#places.values()) {
      if (tables === null) continue;
      const offset = Number(address - tables.deviceAddress);
      if (!(offset >= 0 && offset < tables.length)) continue;
      const head = Math.floor(offset / (tables.length / size));
      const life = this.#of(queue).find(({ id }) => id === head);
      return life === undefined ? [] : [life.serial];
    }
    return [];
  }

  #unmap(queue: number, id: number): readonly number[] {
    const at = this.#mapped.findIndex((one) => one.queue === queue && one.id === id);
    if (at < 0) return [];
    const { serial } = this.#mapped[at]!;
    this.#mapped.splice(at, 1);
    return serial > 0 ? [serial] : [];
  }

  #end(queue: number, id: number): readonly number[] {
    const at = this.#lives.findIndex((one) => one.queue === queue && one.id === id);
    if (at < 0) return [];
    const { serial } = this.#lives[at]!;
    this.#lives.splice(at, 1);
    return [serial];
  }
}
