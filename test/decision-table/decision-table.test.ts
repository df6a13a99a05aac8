import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decisionRowName, outcomeDifference, platformTraits, readDecisionTable } from '@virtio-platform/conformance';
import type { DecisionRow } from '@virtio-platform/conformance';
import { composeRun, ProfileError } from '@virtio-platform/profile';
import { runProfile } from '@virtio-platform/runner';
import { afterAll, describe, expect, it } from 'vitest';
import { embeddedPlatform, outcomeOf, rowProfile } from './decision-row-profile.ts';
import { OBSERVATIONS } from './observations/observations.ts';
import { withOutsidePlatforms } from './outside-platforms.ts';

const table = withOutsidePlatforms(readDecisionTable());
const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
afterAll(() => rmSync(folder, { recursive: true }));

function named(rows: readonly DecisionRow[]): (readonly [string, DecisionRow])[] {
  return rows.map((row) => [decisionRowName(row), row] as const);
}

/** A row's number, with its case where it has several. */
function observationKey({ id, case: which }: DecisionRow): string {
  return which === undefined ? id : `${id} ${which}`;
}

/** What the profile of a row comes to, which may be wrong by itself. */
async function outcomeOfRow(row: DecisionRow): Promise<Readonly<Record<string, unknown>>> {
  try {
    return outcomeOf(await runProfile(await rowProfile(folder, row, embeddedPlatform(row, table)!)));
  } catch (error) {
    if (error instanceof ProfileError) return { fails: error.code };
    throw error;
  }
}

const embedded = table.rows.filter((row) => embeddedPlatform(row, table) !== undefined);
const observed = table.rows.filter(({ kind }) => kind === 'observed');
const shipped = Object.entries(table.platforms).filter(([, { profile }]) => profile !== undefined);

describe('the decision table on the embedded machine', () => {
  it('leaves out no row of a platform that is shipped, but where it says why', () => {
    const left = table.rows.filter(
      (row) => row.kind !== 'observed' && row.platform !== undefined && !embedded.includes(row),
    );
    for (const row of left) {
      const isShipped = table.platforms[row.platform!]!.profile !== undefined;
      if (!isShipped) continue;
      expect([decisionRowName(row), row.embedded]).toEqual([decisionRowName(row), false]);
    }
    expect(embedded.length).toBeGreaterThan(70);
  });

  it.each(named(embedded))('runs %s', async (_name, row) => {
    const wanted = (row.embedded !== false && row.embedded?.outcome) || row.outcome;
    // On another platform than its own a row keeps what was decided, and not how addresses are translated there.
    expect(outcomeDifference(wanted, await outcomeOfRow(row))).toBeUndefined();
  });

  it.each(shipped)('%s states the traits that its plugin finds', async (name, platform) => {
    const row = table.rows.find((candidate) => candidate.platform === name && candidate.offered !== undefined)!;
    const run = await composeRun(await rowProfile(folder, { ...row, embedded: {} }, platform.profile!));
    try {
      const { addressMeaning: _, ...stated } = platformTraits(platform);
      for (const [trait, value] of Object.entries(stated)) {
        const found = run.platform.traits[trait as keyof typeof stated];
        if (value !== undefined) expect([name, trait, found]).toEqual([name, trait, value]);
      }
    } finally {
      await run.dispose();
    }
  });
});

describe('what the decision table says of more than negotiation', () => {
  it('has a test for each such row, and for no other', () => {
    const rows = observed.map((row) => observationKey(row));
    expect(Object.keys(OBSERVATIONS).toSorted()).toEqual(rows.toSorted());
  });

  it.each(named(observed))('sees %s', async (_name, row) => {
    const seen = await OBSERVATIONS[observationKey(row)]!({ row, table, folder });
    expect(outcomeDifference(row.outcome, seen)).toBeUndefined();
  });
});
