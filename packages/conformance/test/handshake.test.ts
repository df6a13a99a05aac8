import { describe, expect, it } from 'vitest';
import { BEFORE_WRAP, explorePacked, exploreRing, exploreSplit } from './handshake/explore-handshake.ts';
import { EVENT_INDEX_FAULTS, ORDER_FAULTS } from './handshake/handshake.ts';

const TIMEOUT_MS = 60_000;
/** How many buffers cross a packed ring: four with ALL_STATES, which takes three times as long. */
const BUFFERS = process.env['ALL_STATES'] === undefined ? 3 : 4;

/** With flags, a side that never asks for silence can lose nothing; with an event index it can. */
const MODES = [
  { eventIdx: false, isQuiet: true },
  { eventIdx: true, isQuiet: true },
  { eventIdx: true, isQuiet: false },
];
const ENDS = ['driver', 'device'] as const;

describe.each(MODES)('the notification handshake, access by access, %o', (mode) => {
  it.each([1, 2, 4])(
    'loses no wake-up on a split ring of %d, across the index wrap',
    { timeout: TIMEOUT_MS },
    (size) => {
      const { finding, states } = exploreSplit({ ...mode, size, buffers: 3 }, BEFORE_WRAP);
      expect(finding).toBeUndefined();
      expect(states).toBeGreaterThan(1000);
    },
  );

  it.each([
    { size: 1, lists: [1] },
    { size: 2, lists: [1] },
    { size: 3, lists: [1] },
    { size: 2, lists: [2, 1] },
    { size: 3, lists: [2, 1] },
  ])(
    'loses no wake-up on a packed ring, across the wrap of $size slots, lists of $lists',
    { timeout: TIMEOUT_MS },
    ({ size, lists }) => {
      const { finding, states } = explorePacked({ ...mode, size, buffers: BUFFERS }, lists);
      expect(finding).toBeUndefined();
      expect(states).toBeGreaterThan(1000);
    },
  );
});

describe.each(ENDS)('a handshake broken on purpose in the %s', (end) => {
  const broken = [
    ...ORDER_FAULTS.map((fault) => ({ fault, eventIdx: false })),
    ...[...ORDER_FAULTS, ...EVENT_INDEX_FAULTS].map((fault) => ({ fault, eventIdx: true })),
  ];

  it.each(broken)('is found on a split ring: $fault, event index $eventIdx', ({ fault, eventIdx }) => {
    const { finding } = exploreSplit({ eventIdx, isQuiet: true, size: 2, buffers: 3 }, BEFORE_WRAP, { [end]: fault });
    expect(finding?.problem).toMatch(/^both ends sleep/);
  });

  it.each(broken)('is found on a packed ring: $fault, event index $eventIdx', ({ fault, eventIdx }) => {
    const { finding } = explorePacked({ eventIdx, isQuiet: true, size: 2, buffers: 4 }, [1], { [end]: fault });
    expect(finding?.problem).toMatch(/^both ends sleep/);
  });

  it('is found only across the wrap, when indices are compared as numbers', () => {
    const handshake = { eventIdx: true, isQuiet: true, size: 2, buffers: 3 };
    expect(exploreSplit(handshake, 100, { [end]: 'no wrap' }).finding).toBeUndefined();
    expect(exploreSplit(handshake, BEFORE_WRAP, { [end]: 'no wrap' }).finding).toBeDefined();
  });
});

describe.each(['split', 'packed'] as const)('the two ends of a %s queue, operation by operation', (layout) => {
  it.each(MODES)('lose no wake-up in any order, %o', { timeout: TIMEOUT_MS }, (mode) => {
    for (const size of layout === 'split' ? [1, 2] : [1, 2, 3]) {
      const { finding, states } = exploreRing({ ...mode, layout, size, start: 0, buffers: 3 });
      expect(finding).toBeUndefined();
      expect(states).toBeGreaterThan(1000);
    }
  });

  it.each(ENDS)('lose one when the %s does not look again', (end) => {
    for (const eventIdx of [false, true]) {
      const options = { layout, size: 2, start: 0, buffers: 3, eventIdx, isQuiet: true };
      expect(exploreRing(options, { [end]: 'no re-check' }).finding?.problem).toMatch(/^both ends sleep/);
    }
  });
});
