import type { Profile } from '@virtio-platform/profile';
import { describe, expect, it } from 'vitest';
import { compareExpectation } from '../src/report/compare-expectation.ts';
import type { RunReport } from '../src/report/report.ts';

type Changes = Readonly<Record<string, unknown>>;

/** How a run differs from what is expected of it; without changes it goes well. */
function differences(expected: Changes, changes: Changes = {}): string[] {
  const report = {
    outcome: 'completed',
    failure: null,
    refusal: null,
    path: 'translated',
    queue: null,
    features: { accepted: ['VERSION_1'], declined: [] },
    notifications: { device: { missed: 0 } },
    faults: [],
    recorded: [],
    configuration: { changes: 0 },
    sanitizer: null,
    dma: { live: 0 },
    leaked: { count: 0 },
    workload: { verified: true },
    ...changes,
  };
  const profile = { expect: expected, queue: { layout: 'split' } };
  return compareExpectation(report as unknown as RunReport, profile as unknown as Profile);
}

const MISSED = { notifications: { device: { missed: 1 } } } as const;

function failed(code: string): Changes {
  return { outcome: 'failed', failure: { code } };
}

describe('what a run differs in', () => {
  const counts = { faults: 2, recorded: 1, configChanges: 1, findings: 1, leaked: 1 };

  it('is each thing that did not come, of a run that completes', () => {
    expect(differences(counts, MISSED)).toEqual([
      'the device wanted 1 available buffer notifications that did not come',
      'faults: expected 2, was 0',
      'recorded faults: expected 1, was 0',
      'configuration changes: expected 1, was 0',
      'findings: expected 1, was 0',
      'leaked: expected 1, was 0',
    ]);
  });

  it('is the outcome alone, of a run that fails before the rest could come', () => {
    const wrong = failed('ERR_DMA_EXHAUSTED');
    expect(differences(counts, { ...wrong, ...MISSED })).toEqual(['outcome: expected completed, was failed']);
    const early = { ...wrong, path: null, features: { accepted: [], declined: [] } };
    expect(differences({ path: 'translated', accepted: ['VERSION_1'] }, early)).toEqual([
      'outcome: expected completed, was failed',
    ]);
    const refused = { outcome: 'refused', refusal: { code: 'x' }, path: null };
    expect(differences({ path: 'linear', ...counts }, refused)).toEqual(['outcome: expected completed, was refused']);
  });

  it('is what came too much all the same, and what was agreed before', () => {
    const late = { ...failed('ERR_DEVICE_LOST'), faults: [{}, {}, {}], leaked: { count: 2 } };
    expect(differences({ ...counts, path: 'linear' }, late)).toEqual([
      'outcome: expected completed, was failed',
      'path: expected linear, was translated',
      'faults: expected 2, was 3',
      'leaked: expected 1, was 2',
    ]);
  });

  it('is a notification that did not come, of a run that stalls', () => {
    expect(differences({}, { ...failed('ERR_DEVICE_STALLED'), ...MISSED })).toContain(
      'the device wanted 1 available buffer notifications that did not come',
    );
  });

  it('is each thing that did not come, of a run that fails as it is to fail', () => {
    const expected = { failure: 'ERR_DMA_EXHAUSTED', faults: 1 };
    expect(differences(expected, { ...failed('ERR_DMA_EXHAUSTED'), ...MISSED })).toEqual(['faults: expected 1, was 0']);
    expect(differences(expected, { ...failed('ERR_DEVICE_LOST'), ...MISSED })).toEqual([
      'failure: expected ERR_DMA_EXHAUSTED, was ERR_DEVICE_LOST',
    ]);
  });
});
