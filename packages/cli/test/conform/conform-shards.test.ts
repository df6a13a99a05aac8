import { expect, it } from 'vitest';
import type { CaseReport, ConformReport } from '@virtio-platform/conform';
import { mergedCases } from '../../src/conform/conform-shards.ts';
import { partOf } from '../../src/shard.ts';

it('shares cases out so that each has one process', () => {
  const cases = Array.from({ length: 10 }, (_, i) => i);
  const parts = [1, 2, 3].map((number) => partOf(cases, { number, count: 3 }));
  expect(parts).toEqual([
    [0, 3, 6, 9],
    [1, 4, 7],
    [2, 5, 8],
  ]);
});

it('puts the cases of several reports into the order of the plan', () => {
  const merged = mergedCases([report('a', 'c'), report('b')], ['a', 'b', 'c', 'not tried']);
  expect(merged.map(({ id }) => id)).toEqual(['a', 'b', 'c']);
});

const EMPTY: CaseReport = {
  id: '',
  clause: '2.6',
  level: 'MUST',
  title: '',
  verdict: 'pass',
  seen: '',
  severity: 'none',
  ring: [],
  known: null,
  durationMs: 0,
};

function report(...ids: string[]): ConformReport {
  return {
    device: { type: 'block', machine: 'm', backEnd: null, offered: [], queues: 1, maxQueueSize: 8 },
    cases: ids.map((id): CaseReport => ({ ...EMPTY, id })),
    coverage: [],
  };
}
