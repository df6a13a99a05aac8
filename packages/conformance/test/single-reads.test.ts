import { RingPair, type RingPairOptions } from '@virtio-platform/conformance/testing';
import { describe, expect, it } from 'vitest';
import { FickleMemory, type FieldAccess } from './fickle-memory.ts';

const SIZE = 4;
const BUFFER = 0x8000;
const ROOM = 64;

/** Both ends of a ring in a memory that changes under them. */
class FickleRing extends RingPair {
  readonly fickle: FickleMemory;
  /** Byte offsets of the three areas. */
  readonly descriptors: number;
  readonly driver: number;
  readonly deviceArea: number;

  constructor(options: RingPairOptions, fickle = new FickleMemory(0x1_0000)) {
    super({ size: SIZE, ...options, memory: fickle.memory });
    this.fickle = fickle;
    const { words } = this.queue.addresses;
    [this.descriptors, this.driver, this.deviceArea] = [words[0]!, words[2]!, words[4]!];
  }

  add(): number {
    this.list.clear();
    this.list.addReadable(BUFFER, 16);
    this.list.addWritable(BUFFER + 4096, ROOM);
    return this.queue.add(this.list);
  }

  taken(): [id: number, written: number][] {
    return Array.from({ length: this.take() }, (_, i) => [this.batch.ids[i]!, this.batch.written[i]!]);
  }
}

const readsOf = (accesses: readonly FieldAccess[]): number[] =>
  accesses.filter(({ kind }) => kind === 'read').map(({ offset }) => offset);

/** Offsets that were read more than once. */
const readTwice = (accesses: readonly FieldAccess[]): number[] =>
  readsOf(accesses).filter((offset, i, all) => all.indexOf(offset) !== i);

const COMBINATIONS = (['split', 'packed'] as const).flatMap((layout) =>
  [0, 4].flatMap((indirect) =>
    [false, true].flatMap((eventIdx) => [false, true].map((inOrder) => ({ layout, indirect, eventIdx, inOrder }))),
  ),
);

describe.each(COMBINATIONS)(
  'a memory that answers differently the second time: $layout, tables of $indirect, EVENT_IDX $eventIdx, IN_ORDER $inOrder',
  (options) => {
    it('D26 V26 is read once for every field, lap after lap, and nothing goes wrong', () => {
      const ring = new FickleRing(options);
      for (let lap = 0; lap < 5; lap++) {
        const added: number[] = [];
        const all: FieldAccess[][] = [];
        const run = (operation: () => void): void => void all.push(ring.fickle.record(operation));
        run(() => added.push(ring.add()));
        if (options.indirect > 0) run(() => added.push(ring.add()));
        run(() => ring.queue.publish());
        for (const id of added) {
          run(() => expect(ring.device.pop(ring.chain), ring.device.broken?.detail).toBe(true));
          expect([ring.chain.head, ring.chain.readableBytes, ring.chain.writableBytes]).toEqual([id, 16, ROOM]);
          run(() => ring.device.push(id, ROOM));
        }
        run(() => ring.device.flush());
        run(() => expect(ring.taken()).toEqual(added.map((id) => [id, ROOM])));
        run(() => expect(ring.queue.enableNotifications()).toBe(true));
        run(() => expect(ring.device.enableNotifications()).toBe(true));
        expect(all.map(readTwice).flat()).toEqual([]);
      }
      expect([ring.queue.broken, ring.device.broken]).toEqual([undefined, undefined]);
    });

    it('D21 V33 has none of its fields read back by the end that wrote it', () => {
      const ring = new FickleRing(options);
      const driverReads: number[] = [];
      const deviceReads: number[] = [];
      const usedIdx = ring.deviceArea + 2;
      for (let lap = 0; lap < 5; lap++) {
        let id = 0;
        const byDriver = (operation: () => unknown): void =>
          void driverReads.push(...readsOf(ring.fickle.record(operation)));
        byDriver(() => (id = ring.add()));
        byDriver(() => ring.queue.publish());
        ring.fickle.record(() => expect(ring.device.pop(ring.chain)).toBe(true));
        deviceReads.push(...readsOf(ring.fickle.record(() => ring.device.push(id, ROOM))));
        deviceReads.push(...readsOf(ring.fickle.record(() => ring.device.flush())));
        byDriver(() => ring.queue.disableNotifications());
        byDriver(() => ring.taken());
        byDriver(() => ring.queue.enableNotifications());
        byDriver(() => ring.queue.enableNotificationsDelayed());
      }
      expect(driverReads).not.toEqual([]);
      if (options.layout === 'split') {
        // The device area is the device's whole; everything before it is the driver's.
        expect(driverReads.filter((offset) => offset < ring.deviceArea)).toEqual([]);
        expect(driverReads).toContain(usedIdx);
        expect(deviceReads.filter((offset) => offset >= ring.deviceArea)).toEqual([]);
      } else {
        // Of a slot, the driver reads what a used descriptor has: length, id and flags. It never reads an address or
        // its event.
        const addresses = driverReads.filter((offset) => offset < ring.driver && (offset - ring.descriptors) % 16 < 8);
        expect(addresses).toEqual([]);
        expect(driverReads.filter((offset) => offset >= ring.driver && offset < ring.deviceArea)).toEqual([]);
        expect(deviceReads.filter((offset) => offset !== ring.driver)).toEqual([]);
      }
    });

    it('D27 sees each end write last, and read first, the field that says that the others count', () => {
      const ring = new FickleRing(options);
      const isSplit = options.layout === 'split';
      for (let lap = 0; lap < 3; lap++) {
        let id = 0;
        const slots = options.indirect > 0 ? 1 : 2;
        const firstFlags = ring.descriptors + ((lap * slots * 16) % (SIZE * 16)) + 14;
        const written = ring.fickle.record(() => {
          id = ring.add();
          ring.queue.publish();
        });
        const shown = written.findLast(({ kind }) => kind === 'write');
        expect(shown).toEqual({ kind: 'write', offset: isSplit ? ring.driver + 2 : firstFlags, isOrdered: true });
        const popped = ring.fickle.record(() => ring.device.pop(ring.chain));
        expect(popped[0]).toEqual({ kind: 'read', offset: shown!.offset, isOrdered: true });
        const answered = ring.fickle.record(() => {
          ring.device.push(id, ROOM);
          ring.device.flush();
        });
        const returned = answered.findLast(({ kind }) => kind === 'write');
        expect(returned).toEqual({
          kind: 'write',
          offset: isSplit ? ring.deviceArea + 2 : firstFlags,
          isOrdered: true,
        });
        const taken = ring.fickle.record(() => ring.taken());
        expect(taken[0]).toEqual({ kind: 'read', offset: returned!.offset, isOrdered: true });
        expect(taken.length).toBeGreaterThan(1);
      }
    });
  },
);

describe('the event structures of a packed ring', () => {
  it('D36 V47 are read in one access each, so that a place is never seen without its lap', () => {
    const ring = new FickleRing({ layout: 'packed', indirect: 0, eventIdx: true, inOrder: false });
    const readsIn = (start: number, operation: () => void): FieldAccess[] =>
      ring.fickle
        .record(operation)
        .filter(({ kind, offset }) => kind === 'read' && offset >= start && offset < start + 4);
    for (let lap = 0; lap < 3; lap++) {
      const id = ring.add();
      const publish = readsIn(ring.deviceArea, () => ring.queue.publish());
      expect(publish).toEqual([{ kind: 'read', offset: ring.deviceArea, isOrdered: true }]);
      ring.fickle.record(() => expect(ring.device.pop(ring.chain)).toBe(true));
      ring.fickle.record(() => ring.device.push(id, 1));
      const flush = readsIn(ring.driver, () => ring.device.flush());
      expect(flush).toEqual([{ kind: 'read', offset: ring.driver, isOrdered: true }]);
      ring.fickle.record(() => expect(ring.taken()).toEqual([[id, 1]]));
    }
  });
});

describe('the place in a packed ring', () => {
  it.each([1, 2, 3, 5])('D38 R-03 is one word, never beyond the queue of %d, on every lap', (size) => {
    const { fickle, queue, device, list, chain, batch, ...areas } = new FickleRing({
      layout: 'packed',
      size,
      eventIdx: true,
    });
    const { descriptors, driver: driverEvent, deviceArea: deviceEvent } = areas;
    list.addWritable(BUFFER, ROOM);
    const view = new Uint32Array(fickle.memory.buffer);
    for (let count = 1; count <= 4 * size; count++) {
      for (const step of [
        () => queue.add(list),
        () => queue.publish(),
        () => device.pop(chain),
        () => device.push(chain.head, 1),
        () => device.flush(),
      ])
        fickle.record(step);
      const accesses = fickle.record(() => queue.takeUsed(batch));
      expect(readsOf(accesses).every((offset) => offset >= descriptors && offset < descriptors + size * 16)).toBe(true);
      const lap = Math.floor(count / size) % 2 === 0 ? 0x8000 : 0;
      const place = (count % size) | lap | (2 << 16);
      for (const [end, offset] of [
        [queue, driverEvent],
        [device, deviceEvent],
      ] as const) {
        const written = fickle.record(() => end.enableNotifications()).filter(({ kind }) => kind === 'write');
        expect(written).toEqual([{ kind: 'write', offset, isOrdered: true }]);
        expect(view[offset / 4]).toBe(place);
      }
    }
  });
});
