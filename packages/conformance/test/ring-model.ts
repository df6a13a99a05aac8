import { FaultLog, type DeviceAddressSpace } from '@virtio-platform/core/address-space';
import { GuestMemory } from '@virtio-platform/core/memory';
import {
  DescriptorChain,
  QUEUE_FULL,
  ScatterList,
  SplitDeviceQueue,
  SplitVirtqueue,
  UsedBatch,
  type ByteOrder,
} from '@virtio-platform/core/queue';
import { expect } from 'vitest';
import { PoisoningDmaMapping } from '@virtio-platform/conformance';

export interface RingModelOptions {
  readonly size: number;
  readonly indirect: number;
  readonly eventIdx: boolean;
  readonly byteOrder: ByteOrder;
  readonly legacyLayout: boolean;
}

/** One request of the model: what was sent, and what the device answered. */
interface ModelBuffer {
  readonly id: number;
  /** Where its bytes are, among the places of all requests. */
  readonly place: number;
  readonly descriptors: number;
  readonly readable: readonly Uint8Array[];
  readonly writable: readonly { readonly address: number; readonly length: number }[];
  written: number;
  readonly fill: number;
}

const SEGMENT_BYTES = 64;
/** What the driver's own bytes are before the device writes. */
const BEFORE = 0x11;

/**
 * A driver queue and a device queue over a {@link PoisoningDmaMapping}, and beside them the plain lists that they have
 * to agree with after every step.
 */
export class RingModel {
  readonly memory = new GuestMemory(new ArrayBuffer(1 << 20));
  readonly mapping: PoisoningDmaMapping;
  readonly space: DeviceAddressSpace;
  readonly queue: SplitVirtqueue;
  readonly device: SplitDeviceQueue;
  readonly #options: RingModelOptions;
  readonly #buffers: number;
  readonly #chain: DescriptorChain;
  #freeDescriptors: number;
  /** One more than the queue can hold: the last is for a request that is refused. */
  readonly #freePlaces: number[];
  #serial = 0;
  readonly #added: ModelBuffer[] = [];
  readonly #published: ModelBuffer[] = [];
  readonly #popped: ModelBuffer[] = [];
  readonly #pushed: ModelBuffer[] = [];
  readonly #flushed: ModelBuffer[] = [];
  /** What the two ends have been told: `true` armed, `false` silenced, `undefined` either is allowed. */
  #deviceWants: boolean | undefined = true;
  #driverWants: boolean | undefined = true;

  constructor(options: RingModelOptions) {
    const { size, indirect, eventIdx, byteOrder } = options;
    this.#options = options;
    this.#freeDescriptors = size;
    this.#freePlaces = [...Array(size + 1).keys()];
    this.#chain = new DescriptorChain(size);
    this.mapping = new PoisoningDmaMapping(this.memory, { capacity: size * Math.max(1, indirect) });
    this.space = this.mapping.openAddressSpace(new FaultLog());
    this.queue = new SplitVirtqueue(this.memory, this.mapping, { ...options, index: 0, usedLength: 'strict' });
    const { addresses } = this.queue;
    this.device = new SplitDeviceQueue(this.space, { addresses, eventIdx, indirect: indirect > 0, byteOrder });
    this.#buffers = this.memory.allocate((size + 1) * size * SEGMENT_BYTES);
  }

  /** Adds a request of some segments; the queue has to take it exactly if the model has room. */
  add(readable: number, writable: number): void {
    const { size, indirect } = this.#options;
    const count = readable + writable;
    if (count === 0 || count > size) return;
    const descriptors = count > 1 && count <= indirect ? 1 : count;
    const fill = ++this.#serial & 0xff;
    const list = new ScatterList(size);
    const sent: Uint8Array[] = [];
    const answers: { address: number; length: number }[] = [];
    const place = this.#freePlaces.at(-1)!;
    const start = this.#buffers + place * size * SEGMENT_BYTES;
    for (let i = 0; i < count; i++) {
      const address = start + i * SEGMENT_BYTES;
      const length = 1 + ((fill * 7 + i * 5) % SEGMENT_BYTES);
      this.memory.u8.fill(i < readable ? fill : BEFORE, address, address + length);
      if (i < readable) {
        sent.push(this.memory.u8.slice(address, address + length));
        list.addReadable(address, length);
      } else {
        answers.push({ address, length });
        list.addWritable(address, length);
      }
    }
    const live = this.mapping.statistics.live;
    const id = this.queue.add(list);
    if (descriptors > this.#freeDescriptors) {
      expect(id).toBe(QUEUE_FULL);
      expect(this.mapping.statistics.live).toBe(live);
      return;
    }
    expect(id).toBeGreaterThanOrEqual(0);
    expect(this.#outstanding().some((buffer) => buffer.id === id)).toBe(false);
    this.#freeDescriptors -= descriptors;
    this.#freePlaces.pop();
    this.#added.push({ id, place, descriptors, readable: sent, writable: answers, written: 0, fill });
  }

  publish(): void {
    const wanted = this.queue.publish();
    if (this.#added.length === 0) expect(wanted).toBe(false);
    else if (this.#deviceWants !== undefined) expect(wanted).toBe(this.#deviceWants);
    if (this.#added.length > 0 && this.#options.eventIdx) this.#deviceWants = undefined;
    this.#published.push(...this.#added.splice(0));
  }

  /** Takes the next buffer and answers it: `share` of its writable bytes, in eighths. */
  pop(share: number): void {
    const popped = this.device.pop(this.#chain);
    const buffer = this.#published.shift();
    expect(this.device.broken).toBeUndefined();
    expect(popped).toBe(buffer !== undefined);
    if (buffer === undefined) return;
    const chain = this.#chain;
    expect([chain.head, chain.readable]).toEqual([buffer.id, buffer.readable.length]);
    expect([...chain.length.subarray(0, chain.count)]).toEqual(
      [...buffer.readable, ...buffer.writable].map(({ length }) => length),
    );
    for (const [i, expected] of buffer.readable.entries()) {
      const seen = new Uint8Array(expected.length);
      expect(this.space.read(chain.low[i]!, chain.high[i]!, seen, 0, seen.length)).toBe(true);
      expect(seen).toEqual(expected);
    }
    buffer.written = Math.floor((chain.writableBytes * share) / 8);
    const answer = new Uint8Array(SEGMENT_BYTES).fill(buffer.fill);
    for (let i = chain.readable, left = buffer.written; left > 0; i++) {
      const length = Math.min(left, chain.length[i]!);
      expect(this.space.write(chain.low[i]!, chain.high[i]!, answer, 0, length)).toBe(true);
      left -= length;
    }
    this.#popped.push(buffer);
  }

  /** Returns one of the buffers that the device holds, any of them. */
  push(which: number): void {
    const [buffer] = this.#popped.splice(which % Math.max(this.#popped.length, 1), 1);
    if (buffer === undefined) return;
    this.device.push(buffer.id, buffer.written);
    this.#pushed.push(buffer);
  }

  flush(): void {
    const wanted = this.device.flush();
    if (this.#pushed.length === 0) expect(wanted).toBe(false);
    else if (this.#driverWants !== undefined) expect(wanted).toBe(this.#driverWants);
    if (this.#pushed.length > 0 && this.#options.eventIdx && this.#driverWants === true) this.#driverWants = undefined;
    this.#flushed.push(...this.#pushed.splice(0));
  }

  take(most: number): void {
    const batch = new UsedBatch(most);
    const taken = this.queue.takeUsed(batch);
    const buffers = this.#flushed.splice(0, most);
    expect(this.queue.broken).toBeUndefined();
    expect([...batch.ids.subarray(0, taken)]).toEqual(buffers.map(({ id }) => id));
    expect([...batch.written.subarray(0, taken)]).toEqual(buffers.map(({ written }) => written));
    for (const buffer of buffers) {
      let left = buffer.written;
      for (const { address, length } of buffer.writable) {
        const here = Math.min(left, length);
        const expected = new Uint8Array(length).fill(BEFORE).fill(buffer.fill, 0, here);
        expect(this.memory.u8.slice(address, address + length)).toEqual(expected);
        left -= here;
      }
      this.#freeDescriptors += buffer.descriptors;
      this.#freePlaces.push(buffer.place);
    }
    expect(this.queue.outstanding).toBe(this.#outstanding().length);
  }

  /** A handshake that says "nothing arrived" has to be followed by a notification. */
  driverListens(listens: boolean): void {
    if (!listens) {
      this.queue.disableNotifications();
      this.#driverWants = false;
      return;
    }
    const isEmpty = this.queue.enableNotifications();
    expect(isEmpty).toBe(this.#flushed.length === 0);
    this.#driverWants = isEmpty || !this.#options.eventIdx ? true : undefined;
  }

  deviceListens(listens: boolean): void {
    if (!listens) {
      this.device.disableNotifications();
      this.#deviceWants = this.#options.eventIdx ? undefined : false;
      return;
    }
    const isEmpty = this.device.enableNotifications();
    expect(isEmpty).toBe(this.#published.length === 0);
    this.#deviceWants = isEmpty || !this.#options.eventIdx ? true : undefined;
  }

  /** Resets as after a confirmed device reset: exactly what is outstanding comes back, and nothing stays mapped. */
  reset(): void {
    const ids = this.#outstanding().map(({ id }) => id);
    expect(this.queue.reset().toSorted((a, b) => a - b)).toEqual(ids.toSorted((a, b) => a - b));
    expect(this.queue.outstanding).toBe(0);
    expect(this.space.faults.entries).toEqual([]);
  }

  /** Gives all back and checks that nothing is left. */
  finish(): void {
    this.reset();
    this.queue.dispose();
    this.memory.free(this.#buffers);
    expect(this.mapping.statistics.live).toBe(0);
    expect(this.memory.allocated).toBe(0);
  }

  #outstanding(): ModelBuffer[] {
    return [...this.#added, ...this.#published, ...this.#popped, ...this.#pushed, ...this.#flushed];
  }
}
