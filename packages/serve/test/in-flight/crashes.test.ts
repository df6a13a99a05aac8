import { RingPair } from '@virtio-platform/conformance/testing';
import { DescriptorChain, restoreDeviceQueue, type DeviceQueue, type QueueLayout } from '@virtio-platform/core/queue';
import { inFlightQueueBytes } from '@virtio-platform/vhost-user';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { InFlightRecord, RecoveredQueue } from '../../src/in-flight/in-flight-record.ts';
import { PackedRecord } from '../../src/in-flight/packed-record.ts';
import { RecordMemory } from '../../src/in-flight/record-memory.ts';
import { SplitRecord } from '../../src/in-flight/split-record.ts';

const SIZE = 8;
const BUFFER = 64;
const FIRST = { split: 0, packed: 0x8000 } as const;
const CRASHES = 120;
/** Stores of a record until the process is gone. */
const MOST_STORES = 60;
/** More rounds than it takes to store so often. */
const MOST_ROUNDS = 1000;

class Crash extends Error {}

/** The process is gone behind so many more stores of a record. */
let left = Infinity;
for (const method of ['setU16', 'commitU16', 'commitByte', 'commitPositions', 'setCounter'] as const) {
  const original = RecordMemory.prototype[method];
  vi.spyOn(RecordMemory.prototype, method).mockImplementation(function store(this: RecordMemory, ...words: number[]) {
    if (left-- <= 0) throw new Crash();
    Reflect.apply(original, this, words);
  });
}
afterEach(() => {
  left = Infinity;
});

/** Numbers below `most` that are the same in each run. */
function numbers(seed: number): (most: number) => number {
  let state = seed;
  return (most) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * most);
  };
}

interface Case {
  readonly layout: QueueLayout;
  readonly inOrder: boolean;
  readonly indirect: number;
}

/** A driver, and a device that ends and is there again. */
class Reborn {
  readonly pair: RingPair;
  readonly bytes: Uint8Array;
  readonly chain = new DescriptorChain(64);
  readonly #case: Case;
  device!: DeviceQueue;
  recovered!: RecoveredQueue;
  /** Ids that the device has, oldest first. */
  held: number[] = [];
  /** Numbers of the requests that the driver waits for, by id. */
  readonly sent = new Map<number, number>();

  constructor(given: Case) {
    this.#case = given;
    this.pair = new RingPair({ ...given, size: SIZE });
    this.bytes = new Uint8Array(new SharedArrayBuffer(inFlightQueueBytes(given.layout, SIZE)));
    this.restart();
  }

  restart(): void {
    const { layout, inOrder, indirect } = this.#case;
    const { queue, memory } = this.pair;
    const { words, size } = queue.addresses;
    const record = this.#record(layout);
    this.recovered = record.recover({
      size,
      position: FIRST[layout],
      indices: { available: memory.view.getUint16(words[2]! + 2, true), used: this.#usedIdx },
      flagsAt: (slot) => memory.view.getUint16(words[0]! + 16 * slot + 14, true),
    });
    const state = { layout, size, words: [...words], used: this.recovered.position, inFlight: [] };
    const options = { eventIdx: false, inOrder, indirect: indirect > 0 };
    const { resubmitted } = this.recovered;
    this.device = restoreDeviceQueue(state, this.pair.space, { ...options, journal: record, resubmitted });
    this.held = [];
  }

  get #usedIdx(): number {
    const { words } = this.pair.queue.addresses;
    return this.pair.memory.view.getUint16(words[4]! + 2, true);
  }

  #record(layout: QueueLayout): InFlightRecord {
    const memory = new RecordMemory(this.bytes, 0);
    return layout === 'split' ? new SplitRecord(memory) : new PackedRecord(memory, SIZE);
  }

  /** Driver: sends a request whose data is its number. */
  send(number: number, segments: number): void {
    const { list, memory } = this.pair;
    const at = 0x4_0000 + BUFFER * (number % 256);
    list.clear();
    memory.view.setUint32(at, number, true);
    for (let i = 0; i < segments; i++) list.addReadable(at + 16 * i, 16);
    list.addWritable(at + 48, 4);
    const id = this.pair.send();
    if (id >= 0) this.sent.set(id, number);
  }

  /** Device: takes a buffer. Returns the number in it. */
  take(): number | undefined {
    if (!this.device.pop(this.chain)) {
      expect(this.device.broken).toBeUndefined();
      return undefined;
    }
    this.held.push(this.chain.head);
    return this.pair.memory.view.getUint32(this.chain.low[0]!, true);
  }

  /** Driver: takes what came back. Each was waited for, once. */
  collect(): void {
    const { queue, batch } = this.pair;
    for (let count = queue.takeUsed(batch); count > 0; count = queue.takeUsed(batch)) {
      for (let i = 0; i < count; i++) expect(this.sent.delete(batch.ids[i]!)).toBe(true);
    }
    expect(queue.broken).toBeUndefined();
  }
}

const CASES: Readonly<Record<string, Case>> = {
  'a split ring': { layout: 'split', inOrder: false, indirect: 0 },
  'a split ring with indirect tables, in order': { layout: 'split', inOrder: true, indirect: 4 },
  'a packed ring': { layout: 'packed', inOrder: false, indirect: 0 },
  'a packed ring with indirect tables': { layout: 'packed', inOrder: false, indirect: 4 },
  'a packed ring, in order': { layout: 'packed', inOrder: true, indirect: 0 },
};

describe('a device that ends anywhere, and goes on by its record', () => {
  for (const [name, given] of Object.entries(CASES)) {
    it(`returns each buffer of ${name} once, and takes again in order what it had`, () => {
      const random = numbers(20_260_101);
      const reborn = new Reborn(given);
      expect(reborn.recovered).toEqual({ isNew: true, position: FIRST[given.layout], resubmitted: [] });
      let [number, crashes, again] = [0, 0, 0];
      while (crashes < CRASHES) {
        left = random(MOST_STORES);
        const order: number[] = [];
        try {
          for (let rounds = 0; ; rounds++) {
            expect(rounds).toBeLessThan(MOST_ROUNDS);
            for (let i = random(4); i > 0; i--) reborn.send(number++, 1 + random(2));
            for (let i = random(4); i > 0; i--) {
              const taken = reborn.take();
              if (taken !== undefined) order.push(taken);
            }
            for (let i = random(3); i > 0 && reborn.held.length > 0; i--) {
              const at = given.inOrder ? 0 : random(reborn.held.length);
              reborn.device.push(reborn.held.splice(at, 1)[0]!, 0);
            }
            if (random(3) > 0) reborn.device.flush();
            if (random(2) > 0) reborn.collect();
          }
        } catch (error) {
          if (!(error instanceof Crash)) throw error;
        }
        // Taken in the order in which they were sent, those of the last process before all others.
        expect(order).toEqual(order.toSorted((one, other) => one - other));
        crashes++;
        left = Infinity;
        reborn.restart();
        expect(reborn.recovered.isNew).toBe(false);
        again += reborn.recovered.resubmitted.length;
        if (random(2) > 0) reborn.collect();
      }
      for (let isMore = true; isMore;) {
        isMore = reborn.take() !== undefined;
        for (const id of reborn.held.splice(0)) reborn.device.push(id, 0);
        reborn.device.flush();
      }
      reborn.collect();
      expect(reborn.sent.size).toBe(0);
      expect(again).toBeGreaterThan(CRASHES / 4);
      expect(number).toBeGreaterThan(CRASHES);
    });
  }
});
