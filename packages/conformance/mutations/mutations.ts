import { AROUND_THE_RING } from './around-the-ring.ts';
import { BOTH_ENDS } from './both-ends.ts';
import type { Mutation } from './mutation.ts';
import { PACKED_DEVICE } from './packed-device.ts';
import { PACKED_DRIVER } from './packed-driver.ts';
import { SPLIT_DEVICE } from './split-device.ts';
import { SPLIT_DRIVER } from './split-driver.ts';

/** Cases of what no end of this project does: nothing of it can be tested, or taken out. */
export const NOT_BUILT: readonly string[] = ['V35', 'V50'];

/** Every mutation is found by a test; `run-mutations.ts` proves it. */
export const MUTATIONS: readonly Mutation[] = [
  ...SPLIT_DRIVER,
  ...PACKED_DRIVER,
  ...SPLIT_DEVICE,
  ...PACKED_DEVICE,
  ...BOTH_ENDS,
  ...AROUND_THE_RING,
];
