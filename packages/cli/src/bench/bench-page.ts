import type { BenchFigure, BenchPart, BenchReport, BenchResult } from '@virtio-platform/bench';
import { html, linePlot, pageShell, rowTable, type Markup, type PlotLine } from '@virtio-platform/report';
import type { BenchPeer } from './bench-files.ts';
import type { BenchComparison } from './compare-benches.ts';
import { formatRatio, formatTime, subjectsOf } from './print-bench.ts';

const PERCENTILES = ['p50', 'p90', 'p99', 'p999', 'max'] as const;
const PERCENTILE_NAMES = ['50 %', '90 %', '99 %', '99.9 %', 'all'] as const;

/** What the page says beside the report. */
export interface BenchPageShell {
  readonly toolVersion: string;
  /** The command line that made it. */
  readonly command: string;
}

/** A report of `bench` as one page that loads nothing: what changed first, then each part with its curves and table. */
export function benchPage(
  report: BenchReport,
  parts: readonly BenchPart[],
  peers: readonly BenchPeer[],
  comparison: BenchComparison | undefined,
  { toolVersion, command }: BenchPageShell,
): string {
  const { machine, settings, results, startedAt } = report;
  const slower = comparison?.changes.filter(({ verdict }) => verdict === 'slower') ?? [];
  const { processor, cores, node, compiler, isPinned } = machine;
  const measured = `${results.length} cases measured`;
  const compared = slower.length === 0 ? ', none slower' : `, ${slower.length} slower`;
  return pageShell({
    kind: 'benchmark',
    verdict: comparison === undefined ? measured : `${measured}${compared}`,
    isGood: slower.length === 0,
    toolVersion,
    command,
    startedAt: new Date(startedAt),
    target: { id: 'parts', words: 'To the figures' },
    content: html`<p class="summary">
        ${processor}, ${cores} cores, Node ${node}, ${compiler ?? 'no C compiler'}. ${settings.processes} processes of
        each case, ${isPinned ? 'pinned to one core' : 'not pinned'}, ${settings.samples} samples of
        ${settings.requests} requests. A figure is the best process; what lies between the best and the worst is drawn,
        and is the noise of the tables.
      </p>
      ${comparison !== undefined && changesSection(comparison)}
      <div id="parts">
        ${parts.map((part) =>
          partSection(
            part,
            results.filter((result) => result.part === part.name),
          ),
        )}
      </div>
      ${peers.length > 0 && peersSection(peers)}`,
  });
}

function changesSection({ before, changes }: BenchComparison): Markup {
  const outside = changes.filter(({ verdict }) => verdict !== 'same');
  return html`<section id="changes" aria-labelledby="changes-title">
    <h2 id="changes-title">Since ${before.startedAt.slice(0, 16).replace('T', ' ')} UTC</h2>
    <p class="note">
      ${changes.length - outside.length} of ${changes.length} cases are as they were, within the noise. Before it was
      ${before.machine.processor}.
    </p>
    ${
      outside.length > 0 &&
      rowTable(
        ['case', 'before', 'now', 'times', 'times, against C', 'noise', 'verdict'],
        outside.map(({ id, before: was, now, change, changeAgainstC, noise, verdict }) => ({
          cells: [
            id,
            formatTime(was),
            formatTime(now),
            formatRatio(change),
            formatRatio(changeAgainstC ?? undefined),
            percent(noise),
            verdict,
          ],
          isUnexpected: verdict === 'slower',
        })),
      )
    }
  </section>`;
}

function partSection(part: BenchPart, results: readonly BenchResult[]): Markup {
  const subjects = subjectsOf(results);
  const hasBaseline = results.some(({ times }) => times !== null);
  const head = [
    'case',
    part.unit,
    'noise',
    'median',
    'p99',
    'p99.9',
    'most',
    'bytes/request',
    ...subjects.map((subject) => `times ${subject}`),
    ...(hasBaseline ? ['times its baseline'] : []),
  ];
  return html`<section id="part-${part.name}" aria-labelledby="title-${part.name}">
    <h2 id="title-${part.name}">${part.name}</h2>
    <p class="note">${part.title}</p>
    ${part.curve !== undefined && curves(part, part.curve, results)}
    ${part.name === 'latency' && percentileCurves(part, results)}
    ${rowTable(
      head,
      results.map((result) => ({ cells: cellsOf(result, subjects, hasBaseline), isUnexpected: false })),
    )}
  </section>`;
}

function cellsOf(result: BenchResult, subjects: readonly string[], hasBaseline: boolean): readonly string[] {
  const own = result.figures[0]!;
  const { percentiles: seen } = own;
  return [
    result.id,
    formatTime(own.best),
    percent(own.spread),
    ...(['p50', 'p99', 'p999', 'max'] as const).map((which) => (seen === null ? '–' : formatTime(seen[which]))),
    own.bytesPerRequest?.toFixed(2) ?? '–',
    ...subjects.map((subject) => formatRatio(figureOf(result, subject)?.ratio)),
    ...(hasBaseline ? [formatRatio(result.times ?? undefined)] : []),
  ];
}

/** The figures of a part over one of its axes: a curve for each of the others, and for each subject. */
function curves(part: BenchPart, axis: string, results: readonly BenchResult[]): Markup {
  const lines = new Map<string, PlotLine['points'][number][]>();
  const places = new Set<number>();
  for (const { axes, figures } of results) {
    const x = Number(axes[axis]);
    places.add(x);
    const others = Object.entries(axes).filter(([name]) => name !== axis);
    for (const { subject, best, spread } of figures) {
      const name = [...others.map(([, value]) => value), subject].join(', ');
      lines.set(name, [...(lines.get(name) ?? []), { x, y: best, worst: best * (1 + spread) }]);
    }
  }
  return linePlot({
    title: part.title,
    xLabel: axis,
    yLabel: part.unit,
    ticks: [...places].toSorted((a, b) => a - b).map((x) => ({ x, label: String(x) })),
    lines: [...lines].map(([name, points]) => ({ name, points })),
    format: formatTime,
  });
}

/** How long the slowest requests took: a curve for each case. */
function percentileCurves(part: BenchPart, results: readonly BenchResult[]): Markup {
  return linePlot({
    title: part.title,
    xLabel: 'this part of all requests took no longer',
    yLabel: part.unit,
    // At even distances on a logarithmic axis.
    ticks: PERCENTILE_NAMES.map((label, at) => ({ x: 2 ** at, label })),
    lines: results.flatMap(({ id, figures }) => {
      const seen = figures[0]!.percentiles;
      if (seen === null) return [];
      return { name: id, points: PERCENTILES.map((which, at) => ({ x: 2 ** at, y: seen[which] })) };
    }),
    format: formatTime,
  });
}

function peersSection(peers: readonly BenchPeer[]): Markup {
  return html`<section id="peers" aria-labelledby="peers-title">
    <h2 id="peers-title">Other rings</h2>
    <ul>
      ${peers.map(({ name, measured }) => html`<li>${name}${measured !== '' && html`: ${measured}`}</li>`)}
    </ul>
  </section>`;
}

function figureOf({ figures }: BenchResult, name: string): BenchFigure | undefined {
  return figures.find(({ subject }) => subject === name);
}

function percent(part: number): string {
  return `${(part * 100).toFixed(0)} %`;
}
