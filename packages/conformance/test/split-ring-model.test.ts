import * as fc from 'fast-check';
import { describe, it } from 'vitest';
import { RingModel } from './ring-model.ts';

type Step = (model: RingModel) => void;

/** One step of either end; adding and moving on are more frequent than switching notifications. */
const anyStep: fc.Arbitrary<{ name: string; run: Step }> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .tuple(fc.nat(4), fc.nat(4))
      .map(([r, w]) => ({ name: `add(${r}, ${w})`, run: (m: RingModel) => m.add(r, w) })),
  },
  { weight: 3, arbitrary: fc.constant({ name: 'publish', run: (m: RingModel) => m.publish() }) },
  { weight: 4, arbitrary: fc.nat(8).map((share) => ({ name: `pop(${share})`, run: (m: RingModel) => m.pop(share) })) },
  {
    weight: 4,
    arbitrary: fc.nat(16).map((which) => ({ name: `push(${which})`, run: (m: RingModel) => m.push(which) })),
  },
  { weight: 3, arbitrary: fc.constant({ name: 'flush', run: (m: RingModel) => m.flush() }) },
  { weight: 3, arbitrary: fc.nat(4).map((most) => ({ name: `take(${most})`, run: (m: RingModel) => m.take(most) })) },
  {
    weight: 1,
    arbitrary: fc.boolean().map((on) => ({ name: `driverListens(${on})`, run: (m: RingModel) => m.driverListens(on) })),
  },
  {
    weight: 1,
    arbitrary: fc.boolean().map((on) => ({ name: `deviceListens(${on})`, run: (m: RingModel) => m.deviceListens(on) })),
  },
);

const anyOptions = fc.record({
  size: fc.constantFrom(1, 2, 4, 8, 16),
  indirect: fc.constantFrom(0, 1, 3, 64),
  eventIdx: fc.boolean(),
  byteOrder: fc.constantFrom('little' as const, 'big' as const),
  legacyLayout: fc.boolean(),
});

describe('SplitVirtqueue and SplitDeviceQueue', () => {
  it('agree with a plain model after every step, in every order, and leave nothing behind', () => {
    fc.assert(
      fc.property(anyOptions, fc.array(anyStep, { maxLength: 120, size: 'max' }), (options, steps) => {
        const model = new RingModel(options);
        for (const { run } of steps) run(model);
        model.finish();
      }),
      { numRuns: 250 },
    );
  });
});
