import { exploreInterleavings, type Exploration } from '@virtio-platform/conformance';
import { describe, expect, it } from 'vitest';
import { AgentSystem } from './handshake/agent-system.ts';
import { EVENT_INDEX_FAULTS, ORDER_FAULTS, type HandshakeFault } from './handshake/handshake.ts';
import { PackedDeviceModel, PackedDriverModel, packedWords } from './handshake/packed-handshake.ts';
import { runDevice, runDriver, type DeviceEnd, type DriverEnd, type ProgramOptions } from './handshake/programs.ts';
import { RingDevice, RingDriver, RingPair, type RingPairOptions } from './handshake/ring-ends.ts';
import { SplitDeviceModel, SplitDriverModel, splitWords } from './handshake/split-handshake.ts';

/** Longer than any schedule of these few buffers. */
const MAX_STEPS = 500;
const TIMEOUT_MS = 60_000;
/** The last split index before the wrap but one, so that the second buffer of three lies behind it. */
const BEFORE_WRAP = 65534;

interface Handshake extends ProgramOptions {
  readonly eventIdx: boolean;
  readonly size: number;
}

interface Faults {
  readonly driver?: HandshakeFault;
  readonly device?: HandshakeFault;
}

interface Ends {
  readonly driver: DriverEnd;
  readonly device: DeviceEnd;
  readonly words: Record<string, number>;
  readonly outside?: () => string;
}

function explore(options: ProgramOptions, open: () => Ends): Exploration {
  const { buffers } = options;
  const start = (): AgentSystem => {
    const { driver, device, ...shared } = open();
    return new AgentSystem({
      ...shared,
      driver: runDriver(driver, options),
      device: runDevice(device, options),
      unfinished: () =>
        driver.taken < buffers ? `both ends sleep, ${driver.taken} of ${buffers} buffers came back` : undefined,
    });
  };
  return exploreInterleavings(start, { maxSteps: MAX_STEPS });
}

/** A split ring whose indices start at `start`. */
function exploreSplit(handshake: Handshake, start: number, faults: Faults = {}): Exploration {
  const options = { ...handshake, start };
  return explore(handshake, () => ({
    words: splitWords(start),
    driver: new SplitDriverModel(options, faults.driver),
    device: new SplitDeviceModel(options, faults.device),
  }));
}

/** A packed ring whose buffers take `lists` slots, over and over. */
function explorePacked(handshake: Handshake, lists: readonly number[], faults: Faults = {}): Exploration {
  const options = { ...handshake, lists };
  return explore(handshake, () => ({
    words: packedWords(handshake.size),
    driver: new PackedDriverModel(options, faults.driver),
    device: new PackedDeviceModel(options, faults.device),
  }));
}

/** Both ends as they are, one whole operation a step. */
function exploreRing(options: RingPairOptions & ProgramOptions, faults: Faults = {}): Exploration {
  return explore(options, () => {
    const pair = new RingPair(options);
    const driver = new RingDriver(pair, faults.driver);
    return { words: {}, outside: () => pair.shared(), driver, device: new RingDevice(pair, driver, faults.device) };
  });
}

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
      const { finding, states } = explorePacked({ ...mode, size, buffers: 4 }, lists);
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
