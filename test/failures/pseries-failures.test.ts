import { join } from 'node:path';
import { loadProfiles } from '@virtio-platform/profile';
import { isAsExpected, runProfile, type RunReport } from '@virtio-platform/runner';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';
type Options = Readonly<Record<string, unknown>>;

const WINDOWS: Readonly<Record<string, Options>> = {
  'buffers mapped one by one': { window: { kind: 'default' }, defaultWindowSize: '256KiB' },
  'a strict hypervisor': { window: { kind: 'ddw', mapping: 'dynamic', pageSize: '4KiB' }, hypervisor: 'kvm' },
  'all of memory mapped': { window: { kind: 'ddw', mapping: 'linear' } },
  'one window in all': { window: { kind: 'ddw', mapping: 'linear' }, dynamicWindows: 'replace' },
  'a secure guest': { secure: true, pool: '256KiB', window: { kind: 'ddw', mapping: 'dynamic' } },
};
/** Failures at each of these times in turn, and some that come again and again. */
const TIMES: readonly Options[] = [
  ...Array.from({ length: 12 }, (_, i) => ({ nth: [i + 1] })),
  ...[7, 20, 50].map((every) => ({ every })),
  { rate: 0.03, seed: 5 },
  { every: 1 },
];
const KINDS: readonly [string, Options][] = [
  ['hypercall', {}],
  ['hypercall', { result: 'H_NOT_ENOUGH_RESOURCES' }],
  ['window', {}],
  ['share', {}],
];

async function run(options: Options): Promise<RunReport> {
  const [profile] = await loadProfiles(join(ROOT, 'profiles/pseries/windows.yaml'));
  const { platform, driver, workload } = profile!;
  return await runProfile({
    ...profile!,
    platform: { ...platform, options },
    memory: 8 * 2 ** 20,
    driver: { ...driver, timeoutMs: 500 },
    workload: { ...workload, requests: 96 },
    expect: {},
  });
}

describe.each(Object.entries(WINDOWS))('failures beneath pseries, with %s', (_windows, options) => {
  // Without an ultravisor there is nothing to share with.
  it.each(KINDS.filter(([kind]) => kind !== 'share' || 'secure' in options))(
    'of %s %j end a run clearly or not at all, with nothing leaked and no byte wrong',
    async (kind, more) => {
      const outcomes = new Set<string>();
      for (const times of TIMES) {
        const report = await run({ ...options, failures: { [kind]: { ...times, ...more } } });
        const { outcome, failure, workload, dma, faults } = report;
        outcomes.add(outcome);
        expect([times, dma.live, dma.maps - dma.unmaps, workload.errors, faults]).toEqual([times, 0, 0, 0, []]);
        expect([times, outcome === 'completed' ? workload.verified : failure?.code]).toEqual([
          times,
          outcome === 'completed' ? true : expect.stringMatching(/^ERR_DMA_(EXHAUSTED|RANGE|WINDOW)$/),
        ]);
      }
      // Failing always is too much for a guest that asks at all, and none asks for the default window.
      const isAsked = kind !== 'window' || !('defaultWindowSize' in options);
      expect([kind, outcomes.has('failed')]).toEqual([kind, isAsked]);
    },
  );
});

describe('failures of hypercalls that Linux only prints', () => {
  it.each(TIMES)('with %j leave nothing mapped, and no report calls wrong data right', async (times) => {
    const options = { ...WINDOWS['buffers mapped one by one'], onHypercallError: 'linux' };
    const report = await run({ ...options, failures: { hypercall: times } });
    expect(report.dma.live).toBe(0);
    expect(report.dma.maps).toBe(report.dma.unmaps);
    if (report.outcome === 'completed' && report.faults.length === 0) expect(report.workload.verified).toBe(true);
    else expect([isAsExpected(report), report.failure?.code]).toEqual([false, 'ERR_DEVICE_NEEDS_RESET']);
  });
});

describe('lost invalidations', () => {
  it.each(TIMES)('with %j leave nothing mapped, and no report calls wrong data right', async (times) => {
    const options = WINDOWS['buffers mapped one by one']!;
    const report = await run({ ...options, failures: { invalidation: times } });
    expect(report.dma.live).toBe(0);
    expect(report.dma.maps).toBe(report.dma.unmaps);
    expect(isAsExpected(report)).toBe(report.workload.verified && report.faults.length === 0);
  });
});
