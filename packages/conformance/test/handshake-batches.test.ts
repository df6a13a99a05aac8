import { describe, expect, it } from 'vitest';
import { BEFORE_WRAP, explorePacked, exploreRing, exploreSplit } from './handshake/explore-handshake.ts';

const TIMEOUT_MS = 60_000;
/** Packed rings: entries, lists of so many descriptors in turn, buffers. All of them with ALL_STATES. */
const PACKED_RINGS = (
  [
    [2, [1], 3],
    [3, [3], 2],
    [3, [2, 1], 3],
  ] as const
).slice(0, process.env['ALL_STATES'] === undefined ? 2 : 3);

/**
 * What is not in the handshake of one buffer after the other: a batch that one used entry stands for, and a delayed
 * notification, which without an event index is one like any other.
 */
const BATCHES = [
  { inOrder: true, isDelayed: false, eventIdx: false, isQuiet: true },
  { inOrder: true, isDelayed: false, eventIdx: true, isQuiet: true },
  { inOrder: true, isDelayed: false, eventIdx: true, isQuiet: false },
];
const DELAYED = [true, false].map((isQuiet) => ({ inOrder: false, isDelayed: true, eventIdx: true, isQuiet }));
const BOTH = DELAYED.map((delayed) => ({ ...delayed, inOrder: true }));

describe('the handshake in batches, access by access', { timeout: TIMEOUT_MS }, () => {
  // A batch changes nothing of what a split ring decides by: its index counts every buffer.
  it.each(DELAYED)('loses no wake-up on a split ring, across the index wrap, %o', (handshake) => {
    for (const size of [2, 4]) {
      const { finding, states } = exploreSplit({ ...handshake, size, buffers: 3 }, BEFORE_WRAP);
      expect(finding).toBeUndefined();
      expect(states).toBeGreaterThan(1000);
    }
  });

  it.each([...BATCHES, ...DELAYED, ...BOTH])('loses no wake-up on a packed ring, across its wrap, %o', (handshake) => {
    for (const [size, lists, buffers] of PACKED_RINGS) {
      const { finding, states } = explorePacked({ ...handshake, size, buffers }, lists);
      expect(finding).toBeUndefined();
      expect(states).toBeGreaterThan(100);
    }
  });
});

describe.each(['split', 'packed'] as const)(
  'the two ends of a %s queue in batches, operation by operation',
  (layout) => {
    it.each([...BATCHES, ...DELAYED, ...BOTH])(
      'lose no wake-up in any order, %o',
      { timeout: TIMEOUT_MS },
      (handshake) => {
        const { finding, states } = exploreRing({ ...handshake, layout, size: 2, start: 0, buffers: 3 });
        expect(finding).toBeUndefined();
        expect(states).toBeGreaterThan(500);
      },
    );

    it('lose one when the driver does not look again', () => {
      for (const handshake of [BATCHES[1]!, DELAYED[0]!, BOTH[0]!]) {
        const options = { ...handshake, layout, size: 2, start: 0, buffers: 3 };
        expect(exploreRing(options, { driver: 'no re-check' }).finding?.problem).toMatch(/^both ends sleep/);
      }
    });
  },
);

describe('a handshake in batches broken on purpose', { timeout: TIMEOUT_MS }, () => {
  const delayed = DELAYED[0]!;

  it.each(['no re-check', 'event after re-check', 'no barrier before the re-check', 'event one too far'] as const)(
    'is found where the notification is delayed, on both layouts: %s',
    (driver) => {
      const split = exploreSplit({ ...delayed, size: 2, buffers: 3 }, BEFORE_WRAP, { driver });
      const packed = explorePacked({ ...delayed, size: 2, buffers: 4 }, [1], { driver });
      for (const { finding } of [split, packed]) expect(finding?.problem).toMatch(/^both ends sleep/);
    },
  );

  it('R-02 is found where a packed driver looks at its event, in the middle of a list', () => {
    const options = { ...delayed, size: 3, buffers: 2 };
    expect(explorePacked(options, [3], { driver: 're-check at the event' }).finding?.problem).toMatch(
      /^both ends sleep/,
    );
    expect(explorePacked(options, [3]).finding).toBeUndefined();
  });

  it('R-02 is found where a packed driver looks at its event, in the middle of a batch of IN_ORDER', () => {
    const options = { ...delayed, inOrder: true, size: 3, buffers: 3 };
    expect(explorePacked(options, [1], { driver: 're-check at the event' }).finding?.problem).toMatch(
      /^both ends sleep/,
    );
    expect(explorePacked(options, [1]).finding).toBeUndefined();
  });

  it('is found where the device counts a batch once', () => {
    const options = BATCHES[1]!;
    const device = 'a batch counts once';
    const split = exploreSplit({ ...options, size: 2, buffers: 3 }, BEFORE_WRAP, { device });
    const packed = explorePacked({ ...options, size: 3, buffers: 3 }, [1], { device });
    for (const { finding } of [split, packed]) expect(finding?.problem).toMatch(/^both ends sleep/);
  });
});
