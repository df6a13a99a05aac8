import { FaultLog, PHYSICAL_ADDRESS_SPACE } from '@virtio-platform/core/address-space';
import { DirectDmaMapping } from '@virtio-platform/core/dma';
import { GuestMemory } from '@virtio-platform/core/memory';
import { restoreDeviceQueue, restoreVirtqueue, type QueueLayout } from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import { RingEnds } from './ring-ends.ts';

const unusable: unknown = expect.objectContaining({ code: 'ERR_QUEUE_STATE' });

/** A queue with two buffers of two segments with the device, one of them popped; a test changes its saved state. */
function saved(layout: QueueLayout, inOrder = false, indirect = 0): Saved {
  const ends = new RingEnds({ layout, inOrder, indirect });
  const { queue, device, memory, mapping, driverOptions, space, deviceOptions } = ends;
  expect([ends.add(1, 1), ends.add(1, 1)]).not.toContain(-1);
  queue.publish();
  expect(device.pop(ends.chain)).toBe(true);
  return {
    restoreDriver(change) {
      const state = { ...queue.save(), ...change(JSON.parse(JSON.stringify(queue.save())) as AnyState) };
      return restoreVirtqueue(state, memory, mapping, queue.memory, driverOptions);
    },
    restoreDevice(change) {
      const state = { ...device.save(), ...change(JSON.parse(JSON.stringify(device.save())) as AnyState) };
      return restoreDeviceQueue(state, space, deviceOptions);
    },
  };
}

interface AnyState {
  readonly free: number[];
  readonly words: number[];
  readonly buffers: AnyBuffer[];
  readonly inFlight: { id: number; slots: number; room: number }[];
  readonly added: number;
}
interface AnyBuffer {
  entries: number[];
  addedAt: number;
  isIndirect: boolean;
  segments: { mapped: number; room: number }[];
}
type Change = (state: AnyState) => object;
interface Saved {
  readonly restoreDriver: (change: Change) => unknown;
  readonly restoreDevice: (change: Change) => unknown;
}

/** The same state with its first buffer changed. */
const first = (state: AnyState, change: (buffer: AnyBuffer) => object): object => {
  const [buffer, ...rest] = state.buffers;
  return { buffers: [{ ...buffer!, ...change(buffer!) }, ...rest] };
};
const segment = (state: AnyState, change: object): object =>
  first(state, ({ segments }) => ({ segments: [{ ...segments[0]!, ...change }, ...segments.slice(1)] }));

const WRONG_DRIVERS: Readonly<Record<string, Change>> = {
  'of an unknown layout': () => ({ layout: 'round' }),
  'of an impossible size': () => ({ size: 0 }),
  'of another size than its ring': () => ({ size: 4, free: [], buffers: [], usedPosition: 0 }),
  'whose size is a string': () => ({ size: '8' }),
  'with other tables than were negotiated': () => ({ tableEntries: 3 }),
  'beyond its last slot': () => ({ usedPosition: 0x8008 }),
  'with an entry twice': ({ free }) => ({ free: [free[1], ...free.slice(1)] }),
  'with an entry lost': ({ free }) => ({ free: free.slice(1) }),
  'with an entry beyond the queue': ({ free }) => ({ free: [8, ...free.slice(1)] }),
  'whose buffers are not a list': () => ({ buffers: { length: 0 } }),
  'with null as a buffer': ({ buffers }) => ({ buffers: [null, buffers[1]] }),
  'with a buffer without segments': (state) => first(state, () => ({ segments: [], entries: [] })),
  'with a buffer of too few entries': (state) => first(state, ({ entries }) => ({ entries: entries.slice(1) })),
  'with a buffer in a table, without tables': (state) => first(state, () => ({ isIndirect: true })),
  'with a buffer whose isIndirect is a number': (state) => first(state, () => ({ isIndirect: 1 })),
  'with buffers in another order': ({ buffers }) => ({ buffers: buffers.toReversed() }),
  'with a buffer that is not added yet': ({ added, buffers }) => ({
    buffers: [buffers[0], { ...buffers[1]!, addedAt: added }],
  }),
  'with two buffers in one mapping': ({ buffers }) => ({
    buffers: [buffers[0], { ...buffers[1]!, segments: buffers[0]!.segments }],
  }),
  'with a segment of more than 4 GiB': (state) => segment(state, { room: 0x1_0000_0000 }),
  'with a readable segment last': (state) => first(state, ({ segments }) => ({ segments: segments.toReversed() })),
  'with a segment whose length is a string': (state) => segment(state, { room: 'some' }),
  'with an impossible mapping': (state) => segment(state, { mapped: -2 }),
  'in the middle of a batch without IN_ORDER': () => ({ batchEnd: 0 }),
  'in the middle of a batch that ends with a free entry': () => ({ batchEnd: 7 }),
};

/** Another buffer was added and came back since. */
const OLDER: Change = ({ added }) => ({ added: added + 1 });

const WRONG_DEVICES: Readonly<Record<string, Change>> = {
  'of an unknown layout': () => ({ layout: undefined }),
  'of an impossible size': () => ({ size: 65_536 }),
  'with an address of seven words': ({ words }) => ({ words: [...words, 0] }),
  'with an address of five words': ({ words }) => ({ words: words.slice(1) }),
  'with a word of more than 32 bits': ({ words }) => ({ words: [2 ** 32, ...words.slice(1)] }),
  'with a fractional used index': () => ({ used: 1.5 }),
  'with a buffer twice': ({ inFlight }) => ({ inFlight: [inFlight[0], inFlight[0]] }),
  'with a buffer beyond the queue': ({ inFlight }) => ({ inFlight: [{ ...inFlight[0]!, id: 8 }] }),
  'with a buffer in 0 slots': ({ inFlight }) => ({ inFlight: [{ ...inFlight[0]!, slots: 0 }] }),
  'with more in flight than there are slots': ({ inFlight }) => ({
    inFlight: [
      { ...inFlight[0]!, id: 0, slots: 5 },
      { ...inFlight[0]!, id: 1, slots: 5 },
    ],
  }),
  'with a negative room': ({ inFlight }) => ({ inFlight: [{ ...inFlight[0]!, room: -1 }] }),
};

describe.each(['split', 'packed'] as const)('a saved %s queue', (layout) => {
  it('is restored unchanged', () => {
    expect(saved(layout).restoreDriver(() => ({}))).toMatchObject({ outstanding: 2 });
    expect(saved(layout, true, 3).restoreDriver(() => ({}))).toMatchObject({ outstanding: 2 });
    expect(saved(layout, true, 3).restoreDevice(() => ({}))).toMatchObject({ inFlight: 1 });
  });

  it.each(Object.keys(WRONG_DRIVERS))('is refused as a driver’s end %s', (name) => {
    expect(() => saved(layout).restoreDriver(WRONG_DRIVERS[name]!)).toThrow(unusable);
  });

  it.each(Object.keys(WRONG_DEVICES))('is refused as a device’s end %s', (name) => {
    expect(() => saved(layout).restoreDevice(WRONG_DEVICES[name]!)).toThrow(unusable);
  });

  it('is refused with IN_ORDER unless the device has the buffers added last', () => {
    expect(() => saved(layout).restoreDriver(OLDER)).not.toThrow();
    expect(() => saved(layout, true).restoreDriver(OLDER)).toThrow(unusable);
  });

  it('is refused as a driver’s end over a mapping that has less mapped', () => {
    const ends = new RingEnds({ layout });
    const { queue, memory, driverOptions } = ends;
    const other = new DirectDmaMapping(memory, { path: 'physical', capacity: 64 });
    ends.add(1, 0);
    queue.publish();
    expect(() => restoreVirtqueue(queue.save(), memory, other, queue.memory, driverOptions)).toThrow(unusable);
  });

  it.each([undefined, null, 7, 'split', []])('is refused where it is %j', (value) => {
    const { restoreDriver, restoreDevice } = saved(layout);
    const memory = new GuestMemory(new SharedArrayBuffer(0x1000));
    const space = PHYSICAL_ADDRESS_SPACE.open(memory, new FaultLog(), undefined);
    expect(() => restoreDeviceQueue(value, space, { eventIdx: false, indirect: false })).toThrow(unusable);
    expect(() => restoreDriver(() => ({ buffers: value }))).toThrow(unusable);
    expect(() => restoreDevice(() => ({ words: value }))).toThrow(unusable);
  });
});
