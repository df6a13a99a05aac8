import type { Profile } from '@virtio-platform/profile';
import { describeBroken } from './describe-broken.ts';
import type { FoundBug } from './simple-bugs.ts';

/** Cases of every type that the device is tried with here: those in which devices differ. */
const COMMON =
  /^(ring\/(request|used|readable|writable|table|size-4|laps|batches)|queues\/|reset\/|hostile\/V(1[2-4]|27))/;

/** Describes a device whose bugs say themselves by which cases of its type they are found. */
export function describeFound(
  type: string,
  profile: Profile,
  found: readonly FoundBug[],
  skipped: readonly string[] = [],
): void {
  describeBroken({
    name: `the ${type} device`,
    profile,
    bugs: found.map(([bug]) => bug),
    foundBy: Object.fromEntries(found.map(([{ name }, cases]) => [name, cases])),
    isTried: (id) => id.startsWith(`${type}/`) || COMMON.test(id),
    isHeld: (id) => id.startsWith(`${type}/`),
    skipped,
  });
}
