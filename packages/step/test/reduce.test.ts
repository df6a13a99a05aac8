import * as fc from 'fast-check';
import { KIND } from '@virtio-platform/trace';
import { queueOf, ringView, Walk, type RunState } from '@virtio-platform/step';
import { describe, expect, it } from 'vitest';
import { RecordedPair } from './recorded-pair.ts';

/** What driver and device do, one after the other; what is impossible at that moment is left out. */
const OPERATIONS = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant('add' as const), readable: fc.nat(2), writable: fc.nat(2) }),
    fc.record({
      do: fc.constantFrom('publish', 'take', 'enable', 'delay', 'disable', 'pop', 'push', 'flush', 'listen'),
    }),
  ),
  { minLength: 1, maxLength: 60 },
);

const RINGS = fc.record({
  layout: fc.constantFrom('split' as const, 'packed' as const),
  eventIdx: fc.boolean(),
  inOrder: fc.boolean(),
  indirect: fc.constantFrom(0, 4),
});

type Operation = typeof OPERATIONS extends fc.Arbitrary<(infer T)[]> ? T : never;
type RingOptions = ConstructorParameters<typeof RecordedPair>[0];

/** A ring, and the buffers that its device popped and did not push. */
class DrivenRing {
  readonly #ring: RecordedPair;
  readonly #popped: { readonly head: number; readonly room: number }[] = [];

  constructor(ring: RecordedPair) {
    this.#ring = ring;
  }

  run(operation: Operation): void {
    const { queue, device, pair } = this.#ring;
    if (operation.do === 'add') {
      const { readable, writable } = operation;
      if (readable + writable > 0) this.#ring.add(readable, writable);
    } else if (operation.do === 'publish') queue.publish();
    else if (operation.do === 'take') queue.takeUsed(pair.batch);
    else if (operation.do === 'enable') queue.enableNotifications();
    else if (operation.do === 'delay') queue.enableNotificationsDelayed();
    else if (operation.do === 'disable') queue.disableNotifications();
    else if (operation.do === 'pop') {
      if (device.pop(pair.chain)) this.#popped.push({ head: pair.chain.head, room: pair.chain.writableBytes });
    } else if (operation.do === 'push') {
      const popped = this.#popped.shift();
      if (popped !== undefined) device.push(popped.head, popped.room);
    } else if (operation.do === 'flush') device.flush();
    else device.enableNotifications();
  }
}

/** The state as `Virtqueue.inspect` tells it. */
function asInspected(state: RunState): unknown {
  const queue = queueOf(state, 0)!;
  const view = ringView(queue)!;
  const { split, packed } = view;
  const [driver, device] = [packed?.driverEvent() ?? 0, packed?.deviceEvent() ?? 0];
  return {
    driver: { available: queue.available, taken: queue.taken },
    driverEvent:
      split === undefined
        ? { flags: driver >>> 16, position: driver & 0xffff }
        : { flags: split.availFlags(), position: split.usedEvent() },
    deviceEvent:
      split === undefined
        ? { flags: device >>> 16, position: device & 0xffff }
        : { flags: split.usedFlags(), position: split.availEvent() },
    used: split?.usedIdx(),
    outstanding: state.buffers.map(({ id, segments, isIndirect }) => ({ id, segments, isIndirect })),
  };
}

/** Runs the operations on a new ring; `each` is called after each one. */
function onRing(
  options: RingOptions,
  operations: readonly Operation[],
  each?: (ring: RecordedPair) => void,
): RecordedPair {
  const ring = new RecordedPair(options);
  const driven = new DrivenRing(ring);
  for (const operation of operations) {
    driven.run(operation);
    each?.(ring);
  }
  return ring;
}

function lastState({ walk }: RecordedPair): RunState {
  return walk.step(walk.length - 1).after;
}

function check(numRuns: number, body: (options: RingOptions, operations: readonly Operation[]) => void): void {
  fc.assert(fc.property(RINGS, OPERATIONS, body), { numRuns });
}

describe('the state of a walk', () => {
  it('is what both ends of the ring have', () => {
    check(40, (options, operations) => {
      onRing(options, operations, (ring) => {
        // The memory is read with each event, and some calls are none.
        ring.recorder.note(KIND.external, 0, 0, 'a look at the ring');
        const after = lastState(ring);
        const inspection = ring.queue.inspect();
        const { driver, driverEvent, deviceEvent, used } = inspection;
        const outstanding = inspection.outstanding.map(({ id, segments, isIndirect }) => ({
          id,
          segments,
          isIndirect,
        }));
        expect(asInspected(after)).toEqual({ driver, driverEvent, deviceEvent, used, outstanding });
        expect(after.buffers.filter(({ owner }) => owner === 'device').length).toBe(ring.device.inFlight);
        const slots = after.buffers.flatMap((buffer) => buffer.slots);
        expect(new Set(slots).size).toBe(slots.length);
      });
    });
  });

  it('is the same forwards, backwards and by jumps', () => {
    check(10, (options, operations) => {
      const { walk } = onRing(options, operations);
      const forwards = Array.from({ length: walk.length }, (_, at) => walk.step(at).after);
      for (let at = walk.length - 1; at >= 0; at--) expect(walk.step(at).after).toEqual(forwards[at]);
      const fresh = new Walk(walk.recording);
      for (let i = 0, at = 0; i < walk.length; i++, at = (at + 37) % walk.length)
        expect(fresh.step(at).after).toEqual(forwards[at]);
    });
  });

  it('has used buffers also of a device that is out of sight', () => {
    check(20, (options, operations) => {
      // The memory is read at the next event of the driver.
      const usedOf = (unseen: boolean): readonly number[] => {
        const ring = onRing({ ...options, unseen }, operations, ({ queue }) => void queue.enableNotifications());
        return lastState(ring)
          .buffers.filter(({ owner }) => owner === 'used')
          .map(({ id }) => id);
      };
      expect(usedOf(true)).toEqual(usedOf(false));
    });
  });
});
