import { exploreInterleavings, type Exploration } from '@virtio-platform/conformance';
import { AgentSystem } from './agent-system.ts';
import type { HandshakeFault } from './handshake.ts';
import { PackedDeviceModel, PackedDriverModel, packedWords } from './packed-handshake.ts';
import { runDevice, runDriver, type DeviceEnd, type DriverEnd, type ProgramOptions } from './programs.ts';
import { HandshakePair, RingDevice, RingDriver, type HandshakePairOptions } from './ring-ends.ts';
import { SplitDeviceModel, SplitDriverModel, splitWords } from './split-handshake.ts';

/** Longer than any schedule of these few buffers. */
const MAX_STEPS = 500;
/** The last split index before the wrap but one, so that the second buffer of three lies behind it. */
export const BEFORE_WRAP = 65534;

export interface Handshake extends ProgramOptions {
  readonly eventIdx: boolean;
  readonly inOrder?: boolean;
  readonly size: number;
}

export interface Faults {
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
export function exploreSplit(handshake: Handshake, start: number, faults: Faults = {}): Exploration {
  const options = { ...handshake, start };
  return explore(handshake, () => ({
    words: splitWords(start),
    driver: new SplitDriverModel(options, faults.driver),
    device: new SplitDeviceModel(options, faults.device),
  }));
}

/** A packed ring whose buffers take `lists` slots, over and over. */
export function explorePacked(handshake: Handshake, lists: readonly number[], faults: Faults = {}): Exploration {
  const options = { ...handshake, lists };
  return explore(handshake, () => ({
    words: packedWords(handshake.size),
    driver: new PackedDriverModel(options, faults.driver),
    device: new PackedDeviceModel(options, faults.device),
  }));
}

/** Both ends as they are, one whole operation a step. */
export function exploreRing(options: HandshakePairOptions & ProgramOptions, faults: Faults = {}): Exploration {
  return explore(options, () => {
    const pair = new HandshakePair(options);
    const driver = new RingDriver(pair, faults.driver);
    return { words: {}, outside: () => pair.shared(), driver, device: new RingDevice(pair, driver, faults.device) };
  });
}
