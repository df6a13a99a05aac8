import type { Profile } from '@virtio-platform/profile';
import { describe, expect, it } from 'vitest';
import { casesOf, isFailure, planCases } from '../../src/index.ts';
import type { Bug } from './broken-device.ts';
import { failuresIn, tryBug } from './try-bug.ts';

/** Of each device every second bug is tried, and all of them with ALL_BUGS. */
const STRIDE = process.env['ALL_BUGS'] === undefined ? 2 : 1;

/** A shipped device, and the bugs that cases have to find in it. */
export interface BrokenSetting {
  /** The device in a few words. */
  readonly name: string;
  readonly profile: Profile;
  readonly bugs: readonly Bug[];
  /** The cases that have to find each bug, by its name. An id without a layout stands for each of its layouts. */
  readonly foundBy: Readonly<Record<string, readonly string[]>>;
  /** Whether a case is run on the shipped device at all. */
  readonly isTried?: (id: string) => boolean;
  /** Whether a case is one that a bug here has to fail. */
  readonly isHeld: (id: string) => boolean;
  /** Cases that no bug of the embedded device can fail, and why. */
  readonly notFound?: Readonly<Record<string, string>>;
  /** Those of them that the shipped device is not tried with, with the reason. */
  readonly skipped: readonly string[];
}

/** Describes a device that passes all cases, and its bugs, each of which fails the cases that name it. */
export function describeBroken(setting: BrokenSetting): void {
  const { name, profile, bugs, foundBy, isTried = () => true, isHeld, notFound = {}, skipped } = setting;
  const ids = planCases(casesOf(profile.device.type)).map(({ id }) => id);
  const idsOf = (entry: string): string[] =>
    ids.filter((id) => id === entry || id === `${entry}/split` || id === `${entry}/packed`);

  describe.each([name])('%s', () => {
    it('passes every case that applies, split and packed', { timeout: 120_000 }, async () => {
      const results = await tryBug(profile, undefined, isTried);
      const failed = results.filter(isFailure).map(({ id, verdict, seen }) => `${verdict} ${id}: ${seen}`);
      expect(failed).toEqual([]);
      const untried = results
        .filter(({ id, verdict }) => verdict === 'skip' && isHeld(id))
        .map(({ id, seen }) => `${id}: ${seen}`);
      expect(untried).toEqual(skipped);

      const found = new Set(Object.values(foundBy).flatMap((entries) => entries.flatMap(idsOf)));
      const ran = results.filter(({ id, verdict }) => verdict === 'pass' && isHeld(id)).map(({ id }) => id);
      expect(ran.filter((id) => !found.has(id) && !(id in notFound))).toEqual([]);
    });

    it('has bugs with names of their own, and cases that have to find them', () => {
      expect(bugs.map((bug) => bug.name).toSorted()).toEqual(Object.keys(foundBy).toSorted());
      const unknown = Object.values(foundBy).flatMap((entries) => entries.filter((entry) => idsOf(entry).length === 0));
      expect(unknown).toEqual([]);
    });

    const tried = bugs.filter((_, at) => at % STRIDE === 0);
    it.each(tried.map((bug) => [bug.name, bug] as const))('is found broken where it %s', async (bugName, bug) => {
      const wanted = foundBy[bugName]!.flatMap(idsOf);
      const results = await tryBug(profile, bug, (id) => wanted.includes(id));
      expect(failuresIn(results).toSorted()).toEqual(wanted.toSorted());
    });
  });
}
