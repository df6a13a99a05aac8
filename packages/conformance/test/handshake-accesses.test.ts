import type { QueueLayout } from '@virtio-platform/core/queue';
import { describe, expect, it } from 'vitest';
import type { Operation } from './handshake/agent-system.ts';
import type { HandshakeFault } from './handshake/handshake.ts';
import { PackedDeviceModel, PackedDriverModel, packedWords } from './handshake/packed-handshake.ts';
import type { DeviceEnd, DriverEnd } from './handshake/programs.ts';
import { recordModel, recordReal, type Recorded } from './handshake/record-accesses.ts';
import { HandshakePair } from './handshake/ring-ends.ts';
import { SplitDeviceModel, SplitDriverModel, splitWords } from './handshake/split-handshake.ts';

const SIZE = 2;
/** The second buffer of a split ring is behind the index wrap. */
const START = 65534;

interface Step {
  real(pair: HandshakePair): boolean;
  model(driver: DriverEnd, device: DeviceEnd): Operation<boolean>;
}

/** Makes an operation that decides nothing one that returns false. */
function* undecided(operation: Operation): Operation<boolean> {
  yield* operation;
  return false;
}

const ADD: Step = {
  real: ({ queue, list }) => queue.add(list) < 0,
  model: (driver) => undecided(driver.add()),
};
const PUBLISH: Step = {
  real: ({ queue }) => queue.publish(),
  model: (driver) => driver.publish(),
};
const TAKE: Step = {
  real: ({ queue, batch }) => queue.takeUsed(batch) === 1,
  model: (driver) => driver.take(),
};
const DRIVER_ENABLES: Step = {
  real: ({ queue }) => queue.enableNotifications(),
  model: (driver) => driver.enableNotifications(),
};
const DRIVER_ENABLES_DELAYED: Step = {
  real: ({ queue }) => queue.enableNotificationsDelayed(),
  model: (driver) => driver.enableNotificationsDelayed(),
};
const DRIVER_DISABLES: Step = {
  real: ({ queue }) => {
    queue.disableNotifications();
    return false;
  },
  model: (driver) => undecided(driver.disableNotifications()),
};
const POP: Step = {
  real: ({ device, chain }) => device.pop(chain),
  model: (_, device) => device.pop(),
};
const PUSH: Step = {
  real: ({ device, chain }) => {
    device.push(chain.head, 0);
    return false;
  },
  model: (_, device) => undecided(device.push()),
};
const FLUSH: Step = {
  real: ({ device }) => device.flush(),
  model: (_, device) => device.flush(),
};
const DEVICE_ENABLES: Step = {
  real: ({ device }) => device.enableNotifications(),
  model: (_, device) => device.enableNotifications(),
};
const DEVICE_DISABLES: Step = {
  real: ({ device }) => {
    device.disableNotifications();
    return false;
  },
  model: (_, device) => undecided(device.disableNotifications()),
};

/** Every operation, with and without something to find; the last lap is silenced. */
const LAP: readonly Step[] = [
  POP,
  DEVICE_ENABLES,
  ADD,
  PUBLISH,
  DEVICE_ENABLES,
  POP,
  PUSH,
  POP,
  DRIVER_ENABLES,
  FLUSH,
  DRIVER_ENABLES,
  TAKE,
  TAKE,
];
/** Two buffers in one batch, taken one by one, and asked for with delay before, between and behind. */
const BATCH: readonly Step[] = [
  ADD,
  ADD,
  PUBLISH,
  DRIVER_ENABLES_DELAYED,
  POP,
  PUSH,
  POP,
  PUSH,
  FLUSH,
  DRIVER_ENABLES_DELAYED,
  TAKE,
  TAKE,
  TAKE,
  DRIVER_ENABLES_DELAYED,
];
const STEPS: readonly Step[] = [
  ...LAP,
  ...BATCH,
  ...LAP,
  ...BATCH,
  ...LAP,
  DRIVER_DISABLES,
  DEVICE_DISABLES,
  ADD,
  PUBLISH,
  POP,
  PUSH,
  FLUSH,
  TAKE,
];

function models(
  layout: QueueLayout,
  eventIdx: boolean,
  inOrder: boolean,
  fault: HandshakeFault | undefined,
): [DriverEnd, DeviceEnd, Record<string, number>] {
  if (layout === 'packed') {
    const options = { size: SIZE, eventIdx, inOrder, lists: [1] };
    return [new PackedDriverModel(options, fault), new PackedDeviceModel(options, fault), packedWords(SIZE)];
  }
  const options = { size: SIZE, eventIdx, start: START };
  return [new SplitDriverModel(options, fault), new SplitDeviceModel(options, fault), splitWords(START)];
}

/** What the steps do to the queues and to the models, each from the first step on. */
function recordBoth(
  layout: QueueLayout,
  eventIdx: boolean,
  inOrder: boolean,
  fault?: HandshakeFault,
): [real: Recorded[], model: Recorded[]] {
  const pair = new HandshakePair({ layout, size: SIZE, eventIdx, inOrder, start: layout === 'split' ? START : 0 });
  const [driver, device, words] = models(layout, eventIdx, inOrder, fault);
  // A new pair has asked for notifications already.
  for (const step of [DRIVER_ENABLES, DEVICE_ENABLES]) recordModel(words, step.model(driver, device));
  const real = STEPS.map((step) => recordReal(layout, pair, () => step.real(pair)));
  const model = STEPS.map((step) => recordModel(words, step.model(driver, device)));
  return [real, model];
}

describe.each(['split', 'packed'] as const)('the model of a %s handshake', (layout) => {
  it.each([
    [false, false],
    [true, false],
    [false, true],
    [true, true],
  ])(
    'makes the accesses of the queues in their order, and decides the same; event index %s, in order %s',
    (eventIdx, inOrder) => {
      const [real, model] = recordBoth(layout, eventIdx, inOrder);
      expect(model).toEqual(real);
      expect(real.flatMap(({ accesses }) => accesses).length).toBeGreaterThan(40);
    },
  );

  it('is told from one with its accesses in another order, or one too few', () => {
    for (const fault of ['event after re-check', 'no re-check'] as const) {
      const [real, model] = recordBoth(layout, true, false, fault);
      expect(model).not.toEqual(real);
    }
  });
});
