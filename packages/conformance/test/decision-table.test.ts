import {
  decideRow,
  decisionRowName,
  outcomeDifference,
  platformTraits,
  readDecisionTable,
  type DecisionRow,
} from '@virtio-platform/conformance';
import { DMA_PATHS } from '@virtio-platform/core/dma';
import { isContradictory, EXPERIMENTAL_BITS } from '@virtio-platform/core/features';
import { CORE_RULES, negotiate, REFERENCES } from '@virtio-platform/core/negotiation';
import { describe, expect, it } from 'vitest';
import { rowInput } from '../src/decision-table/decision-table.ts';
const { rows, platforms } = readDecisionTable();
const negotiated = rows.filter(({ kind }) => kind === 'negotiation').map((row) => [decisionRowName(row), row] as const);

/** Who wrote the mails that rows and rules name. */
const PEOPLE = /Tsirkin|Bauermann|Pai\b|Gibson|Kleen|Lendacky|Pasic|Morel|Fraser|Woodhouse/;

/** How many rows each section of the table has. */
const SECTIONS = { A: 12, B: 21, C: 13, D: 2, E: 14, F: 7, G: 8, H: 9, I: 24, J: 13, L: 11, M: 7 } as const;

function differenceOf(row: DecisionRow): string | undefined {
  return outcomeDifference(row.outcome, { ...decideRow(row, platforms[row.platform!]!) });
}

/** Another outcome than the one a row has. */
function otherOutcome({ outcome }: DecisionRow): Readonly<Record<string, unknown>> {
  if ('path' in outcome) return { ...outcome, path: outcome['path'] === 'physical' ? 'identity' : 'physical' };
  return { ...outcome, refused: outcome['refused'] === 'ENODEV' ? 'EPERM' : 'ENODEV' };
}

describe('the rules of the core', () => {
  it.each(CORE_RULES.map((rule) => [rule.name, rule] as const))(
    'says where others find the mails of %s',
    (_name, rule) => {
      if (/mail:|commit/.test(rule.source)) expect(rule.references?.length).toBeGreaterThan(0);
      for (const { link } of rule.references ?? []) expect(link).toMatch(/^https:/);
    },
  );
});

describe('the decision table', () => {
  it('has every row number, each case once', () => {
    const expected = Object.entries(SECTIONS).flatMap(([section, count]) =>
      Array.from({ length: count }, (_, i) => `${section}${i + 1}`),
    );
    expect([...new Set(rows.map(({ id }) => id))].toSorted()).toEqual([...expected, 'K'].toSorted());
    const cases = rows.map(({ id, case: which }) => `${id}/${which ?? ''}`);
    expect(cases.length).toBe(new Set(cases).size);
  });

  it.each(rows.map((row) => [decisionRowName(row), row] as const))('marks and sources %s', (_name, row) => {
    expect(row.source.length).toBeGreaterThan(10);
    for (const name of row.references ?? []) expect(REFERENCES[name].link).toMatch(/^https:/);
    if (PEOPLE.test(row.source)) expect(row.references?.length).toBeGreaterThan(0);
    for (const mark of [row.facts, row.decision]) expect(['read', 'inferred', 'proposed', 'choice']).toContain(mark);
    if (row.platform !== undefined) expect(platforms).toHaveProperty([row.platform]);
    if ('path' in row.outcome) expect(DMA_PATHS).toContain(row.outcome['path']);
    if (row.kind !== 'observed') expect(row.offered).toBeDefined();
  });

  it.each(negotiated)('the core decides %s', (_name, row) => {
    expect(differenceOf(row)).toBeUndefined();
  });

  it('has exactly the row fail whose outcome is changed', () => {
    // One that fails as it stands is told by its own test.
    const sound = negotiated.filter(([, row]) => differenceOf(row) === undefined);
    expect(sound.length).toBeGreaterThan(80);
    for (const [, row] of sound) {
      const changed = sound.map(([, other]) => (other === row ? { ...row, outcome: otherOutcome(row) } : other));
      const failing = changed.filter((other) => differenceOf(other) !== undefined);
      expect(failing.map(decisionRowName)).toEqual([decisionRowName(row)]);
    }
  });

  it('refuses with a source, and with something that would have to change', () => {
    for (const [name, row] of negotiated) {
      const { refusal } = negotiate(rowInput(row, platforms[row.platform!]!), []);
      if (refusal === undefined) continue;
      expect([name, refusal.source.length > 0, Object.keys(refusal.change).length > 0]).toEqual([name, true, true]);
    }
  });

  it('never has a device read an address in another space than it was made for', () => {
    for (const [name, row] of negotiated) {
      const input = rowInput(row, platforms[row.platform!]!);
      const { accepted, path } = negotiate(input, []);
      if (path === undefined) continue;
      expect([name, isContradictory(accepted, EXPERIMENTAL_BITS)]).toEqual([name, false]);
      // What was offered binds the device: without ACCESS_PLATFORM it takes physical addresses, also those of slots.
      const isMapped = row.offered!.includes('ACCESS_PLATFORM');
      const physical = [
        'physical',
        ...(platformTraits(platforms[row.platform!]!).mapsUnflagged === true ? ['identity'] : []),
        'bounced',
      ];
      if (isMapped) expect([name, accepted.has(33)]).toEqual([name, true]);
      else expect([name, physical.includes(path)]).toEqual([name, true]);
    }
  });
});
