import { benchParts, type BenchPart, type BenchResult } from '@virtio-platform/bench';
import { describe, expect, it } from 'vitest';
import { benchPage } from '../../src/bench/bench-page.ts';
import { compareBenches } from '../../src/bench/compare-benches.ts';
import { reportOf, resultOf } from './bench-results.ts';

const SHELL = { command: 'virtio-platform bench', toolVersion: '0.1.0' };

function partOf(name: string): BenchPart {
  return benchParts().find((part) => part.name === name)!;
}

/** A result of each case of a part: the first takes 10 ns, the second 20, and so on. */
function resultsOf(part: BenchPart): readonly BenchResult[] {
  return part.cases.map(({ id, axes }, at) => ({ ...resultOf(id, [10 * (at + 1), 11 * (at + 1)], [5]), axes }));
}

describe('the page of a benchmark', () => {
  it('has a curve over the size of the ring for each layout and subject', () => {
    const part = partOf('sizes');
    const page = benchPage(reportOf(resultsOf(part)), [part], [], undefined, SHELL);
    expect(page).toContain('✓ 12 cases measured');
    for (const name of ['split, virtio-platform', 'packed, virtio-platform', 'split, C, every check'])
      expect(page).toContain(`<title>${name}: `);
    // A mark for each size, and one point for each case and subject.
    for (const size of [16, 64, 256, 1024, 4096, 32768])
      expect(page).toMatch(new RegExp(`text-anchor="middle">${size}<`));
    expect(page.match(/<title>split, virtio-platform: /g)).toHaveLength(6);
  });

  it('has percentiles of latencies as curves', () => {
    const part = partOf('latency');
    const page = benchPage(reportOf(resultsOf(part)), [part], [], undefined, SHELL);
    expect(page).toContain('99.9 %');
    expect(page.match(/<title>latency\/legacy\/split: /g)).toHaveLength(5);
    expect(page).toContain('<title>latency/legacy/split: 40.0</title>');
  });

  it('begins with what is slower than before', () => {
    const part = partOf('ends');
    const [first] = part.cases;
    const comparison = compareBenches(reportOf([resultOf(first!.id, [10])]), reportOf([resultOf(first!.id, [20])]));
    const page = benchPage(reportOf([resultOf(first!.id, [20])]), [part], [], comparison, SHELL);
    expect(page).toContain('✗ 1 cases measured, 1 slower');
    expect(page).toMatch(/<tr class="unexpected">[^]*<td>2\.00<\/td>/);
  });

  it('loads nothing and escapes what others name', () => {
    const part = partOf('ends');
    const peers = [{ name: '<img src=x>', measured: 'a & b', figures: {} }];
    const page = benchPage(reportOf([]), [part], peers, undefined, SHELL);
    expect(page).toContain('&lt;img src=x&gt;: a &amp; b');
    expect(page).not.toMatch(/<img|<script|(?:src|href)="(?!#)/);
  });
});
