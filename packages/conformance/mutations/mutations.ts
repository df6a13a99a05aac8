import { AROUND_THE_RING } from './around-the-ring.ts';
import { BOTH_ENDS } from './both-ends.ts';
import type { Mutation } from './mutation.ts';
import { PACKED_DEVICE } from './packed-device.ts';
import { PACKED_DRIVER } from './packed-driver.ts';
import { SPLIT_DEVICE } from './split-device.ts';
import { SPLIT_DRIVER } from './split-driver.ts';

/** Every mutation is found by a test; `run-mutations.ts` proves it. */
export const MUTATIONS: readonly Mutation[] = [
  ...SPLIT_DRIVER,
  ...PACKED_DRIVER,
  ...SPLIT_DEVICE,
  ...PACKED_DEVICE,
  ...BOTH_ENDS,
  ...AROUND_THE_RING,
];
