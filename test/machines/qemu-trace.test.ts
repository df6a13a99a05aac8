import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadProfile } from '@virtio-platform/profile';
import { runProfile } from '@virtio-platform/runner';
import { readTraceFile, TraceFile, type TraceEvent } from '@virtio-platform/trace';
import { afterAll, describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';
import { formatProblems } from '../trace/chrome-format.ts';
import { QEMU_TESTS } from './qemu-installed.ts';

const folder = mkdtempSync(join(tmpdir(), 'virtio-platform-trace-'));
afterAll(() => rmSync(folder, { recursive: true }));

const REQUESTS = 50;

interface TracedQemu {
  readonly outcome: string;
  readonly failure: { readonly code: string; readonly hint: string | null } | null;
  readonly events: readonly TraceEvent[];
}

/** Runs a profile of QEMU's that maps each buffer for itself, with events of QEMU's own. */
async function traceQemu(name: string, patterns: string): Promise<TracedQemu> {
  const own = [
    `extends: ${join(ROOT, 'profiles/qemu', name)}`,
    'profile: traced',
    'matrix: []',
    `machine: { trace: ${patterns} }`,
    'driver: { buffers: streaming }',
    `workload: { requests: ${REQUESTS}, depth: 8 }`,
  ];
  const profile = await loadProfile({ text: own.join('\n'), name: 'traced.yaml' }, { baseDirectory: folder });
  const file = new TraceFile(join(folder, `${name}.json`));
  const recorder = file.recorder();
  const { outcome, failure } = await runProfile(profile, { recorder });
  file.add(profile.name, recorder);
  file.close();
  expect(formatProblems(readFileSync(file.path, 'utf8'))).toEqual([]);
  const [run] = await readTraceFile(file.path);
  return { outcome, failure, events: run!.trace.events };
}

const { mayRun, needs } = QEMU_TESTS;

describe.skipIf(!mayRun)(`events of QEMU (${needs})`, () => {
  it.each([
    ['intel-iommu.yaml', '[virtqueue_pop, virtqueue_flush, vtd_iotlb_page_update]', 'vtd_iotlb_page_update'],
    ['pseries.yaml', '[virtqueue_*, spapr_iommu_*]', 'spapr_iommu_pci_put'],
  ])('are among those of the run, in the order of time: %s %s', async (name, patterns, ofIommu) => {
    const { outcome, events } = await traceQemu(name, patterns);
    expect(outcome).toBe('completed');
    const named = (event: string): TraceEvent[] =>
      events.filter(({ kind, text }) => kind === 'external' && text!.split(' ')[0] === event);
    expect(named('virtqueue_pop').length).toBeGreaterThanOrEqual(REQUESTS);
    expect(named(ofIommu).length).toBeGreaterThan(0);
    const times = events.map(({ time }) => time);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    // QEMU takes the first request after the driver told of it, and before the driver has it back.
    const first = (kind: string): number => events.find((event) => event.kind === kind)!.time;
    const popped = named('virtqueue_pop')[0]!.time;
    expect(popped).toBeGreaterThan(first('add'));
    expect(popped).toBeLessThan(first('takeUsed'));
  });

  it('fail the run where QEMU does not have them, with the names that it has', async () => {
    const { failure } = await traceQemu('intel-iommu.yaml', '[virtque_pop]');
    expect(failure?.code).toBe('ERR_MACHINE_TRACE');
    expect(failure?.hint).toContain('virtqueue_pop');
  });
});
