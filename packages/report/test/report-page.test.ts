import { describe, expect, it } from 'vitest';
import { MOST_DETAILED, reportPage, type ReportedRun } from '@virtio-platform/report';

const REPORT: ReportedRun['report'] = {
  schemaVersion: 1,
  toolVersion: '0.1.0',
  startedAt: '2026-01-01T00:00:00.000Z',
  file: '/profiles/disk.yaml',
  seed: 1,
  explanations: [],
  profile: 'disk',
  platform: 'sev',
  machine: 'simulated',
  device: 'block',
  features: { offered: [], accepted: [], declined: [] },
  path: 'bounced',
  queue: { layout: 'split', size: 64 },
  outcome: 'completed',
  refusal: null,
  failure: null,
  workload: {
    requests: 10,
    bytes: 5120,
    errors: 0,
    mismatches: { counts: {}, first: [] },
    verified: true,
    interruptions: 0,
    repeated: 0,
  },
  configuration: { changes: 0, seen: [] },
  notifications: null,
  latency: null,
  dma: { maps: 0, unmaps: 0, bytesBounced: 0, live: 0, leaked: 0, pool: null },
  leaked: { count: 0, first: [] },
  statistics: {},
  injected: 0,
  faults: [],
  recorded: [],
  findings: [],
  sanitizer: null,
  logCut: null,
  differences: [],
  durationMs: 12,
};

/** A page of these reports. */
function pageOf(reports: readonly object[], earlyEnd?: string): string {
  const runs = reports.map((report, i) => ({
    report: { ...REPORT, ...report },
    file: `profiles/${i}.yaml`,
    summary: '',
    seed: 1,
    command: `virtio-platform run profiles/${i}.yaml`,
  }));
  const command = 'virtio-platform run --report page.html';
  const profiles = new Map([['profiles/0.yaml', 'profile: disk\n\ttab: <b>\n']]);
  return reportPage({ runs, profiles, command, toolVersion: '0.1.0', startedAt: new Date(0), earlyEnd });
}

/** What a page says of all runs. */
function verdict(page: string): string | undefined {
  return /<title>(.*): virtio-platform<\/title>/.exec(page)?.[1];
}

describe('the page', () => {
  it('says in one line how the runs went', () => {
    expect(verdict(pageOf([{}]))).toBe('✓ The run is as expected');
    expect(verdict(pageOf([{}, {}]))).toBe('✓ All 2 runs as expected');
    expect(verdict(pageOf([{}, { differences: ['x'] }]))).toBe('✗ 1 of 2 runs is not as expected');
    expect(verdict(pageOf([{}], 'interrupted'))).toBe('✗ The run is as expected (interrupted)');
    expect(verdict(pageOf([], 'interrupted'))).toBe('✗ No run has ended (interrupted)');
  });

  it('keeps its size with any number of runs, shows those that are wrong, and says so', () => {
    const many = Array.from({ length: 2000 }, (_, i) => ({
      profile: `run ${i}`,
      differences: i === 1999 ? ['verified: expected true, was false'] : [],
    }));
    const page = pageOf(many);
    expect(page.length).toBeLessThan(5_000_000);
    expect(page).toContain(`${MOST_DETAILED} of 2,000 runs are shown in full`);
    expect(page).toContain('id="run-2000"');
    expect(page.match(/<details class="run /g)).toHaveLength(MOST_DETAILED);
  });

  it('shows the text of a profile with its lines, as text', () => {
    expect(pageOf([{}])).toContain('<pre tabindex="0">profile: disk\n\ttab: &lt;b&gt;\n</pre>');
  });

  it('says once what a run showed: not again that it was not expected', () => {
    const faults = [{ address: '0x1000', length: 8, access: 'read', cause: 'not-mapped' }];
    const page = pageOf([{ faults, differences: ['faults: expected 0, was 1', 'path: expected linear, was bounced'] }]);
    expect(page).toContain('path: expected linear, was bounced');
    expect(page).not.toContain('faults: expected 0, was 1');
    expect(pageOf([{ differences: ['faults: expected 0, was 1'], faults }])).toContain('faults: expected 0, was 1');
  });

  it('says what is missing of the log of the machine, and which option decided a refusal', () => {
    expect(pageOf([{}])).not.toContain('class="note log-cut"');
    const logCut = { program: 'QEMU', before: 1_500_000, bytes: 3 * 2 ** 20 };
    const refusal = { code: 'EPERM', rule: 'a-rule', reason: 'so', change: {}, option: 'platform.secure: true' };
    const page = pageOf([{ logCut }, { outcome: 'refused', refusal, differences: ['x'] }]).replaceAll(/\s+/g, ' ');
    expect(page).toContain('The log of QEMU was too long: its first 3 MiB, up to 1.50 s of the run, are missing');
    expect(page).toContain('<li>decided by platform.secure: true</li>');
  });

  it('shows what a report explains: what, where, the bytes that differ, and what to do', () => {
    const explanation = {
      what: 'the device lost the write of sector 7',
      where: 'request 12, queue 0, buffer 3',
      notes: ['sector 7 was written by request 4'],
      place: { queue: 0, slot: 3 },
      bytes: { offset: 512, expected: `${'00'.repeat(16)}aabb`, actual: `${'00'.repeat(16)}aacc` },
      descriptors: [
        { isIn: 'ring', index: 3, written: { address: '0x1000', length: 16, flags: 1, next: 4 }, found: null },
      ],
      next: 'look at the cache of the device',
    };
    const page = pageOf([{ outcome: 'failed', differences: ['x'], explanations: [explanation] }]);
    const wrong = page.slice(page.indexOf('id="failures"'), page.indexOf('id="runs"')).replaceAll(/\s+/g, ' ');
    expect(wrong).toMatch(/<p class="what"> ?the device lost the write of sector 7/);
    expect(wrong).toContain('<li>request 12, queue 0, buffer 3</li>');
    expect(wrong).toContain('look at the cache of the device');
    expect(wrong).toMatch(/000210&nbsp;− ?aa <b>bb<\/b>/);
    expect(wrong).toMatch(/000210&nbsp;\+ ?aa <b>cc<\/b>/);
    expect(wrong).toContain('0x1000, 16 bytes, flags 1, next 4');
  });
});
