import { describe, expect, it } from 'vitest';
import { casesOf, isFailure, planCases } from '../src/index.ts';
import { BUGS } from './broken/all-bugs.ts';
import { FOUND_BY } from './broken/found-by.ts';
import { embeddedBlock, failuresIn, tryBug } from './broken/try-bug.ts';

const profile = await embeddedBlock();
const IDS = planCases(casesOf(profile.device.type)).map(({ id }) => id);

/** Cases that no bug of the embedded device can fail, and why. */
const NOT_FOUND: Readonly<Record<string, string>> = {
  'hostile/V26-rewritten': 'the embedded device has read the descriptors before the driver can rewrite them',
};

/** The ids that an entry of {@link FOUND_BY} stands for. */
function idsOf(entry: string): string[] {
  return IDS.filter((id) => id === entry || id === `${entry}/split` || id === `${entry}/packed`);
}

describe('the shipped block device', () => {
  it('passes every case that applies, split and packed', { timeout: 120_000 }, async () => {
    const results = await tryBug(profile, undefined, () => true);
    const failed = results.filter(isFailure).map(({ id, verdict, seen }) => `${verdict} ${id}: ${seen}`);
    expect(failed).toEqual([]);
    const skipped = results.filter(({ verdict }) => verdict === 'skip').map(({ id, seen }) => `${id}: ${seen}`);
    expect(skipped).toMatchInlineSnapshot(`
      [
        "queue-reset/not-negotiated: the transport does not let a driver do so",
        "hostile/V31-kick-of-no-queue/split: the device has one queue",
        "hostile/V31-kick-of-no-queue/packed: the device has one queue",
        "block/read-only-write: the disk is not read-only",
        "block/erase-unknown-flag: the disk does not offer BLK_SECURE_ERASE",
        "block/num-queues: the disk does not offer BLK_MQ",
      ]
    `);

    const found = new Set(Object.values(FOUND_BY).flatMap((entries) => entries.flatMap(idsOf)));
    const ran = results.filter(({ verdict }) => verdict === 'pass').map(({ id }) => id);
    expect(ran.filter((id) => !found.has(id) && !(id in NOT_FOUND))).toEqual([]);
  });
});

describe('a device that is broken on purpose', () => {
  it('has a name of its own, and cases that have to find it', () => {
    expect(BUGS.map(({ name }) => name).toSorted()).toEqual(Object.keys(FOUND_BY).toSorted());
    expect(new Set(Object.keys(FOUND_BY)).size).toBe(BUGS.length);
    const unknown = Object.values(FOUND_BY).flatMap((entries) => entries.filter((entry) => idsOf(entry).length === 0));
    expect(unknown).toEqual([]);
  });

  it.each(BUGS.map((bug) => [bug.name, bug] as const))('is found where it %s', async (name, bug) => {
    const ids = FOUND_BY[name]!.flatMap(idsOf);
    const results = await tryBug(profile, bug, (id) => ids.includes(id));
    expect(failuresIn(results).toSorted()).toEqual(ids.toSorted());
  });
});
