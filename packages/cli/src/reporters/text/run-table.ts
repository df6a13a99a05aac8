import { stripVTControlCharacters } from 'node:util';
import { isAsExpected, type RunReport } from '@virtio-platform/runner';
import { plainTable } from '../../plain-table.ts';
import type { Terminal } from '../../terminal.ts';
import { formatBytes, formatDuration } from './run-line.ts';

interface Column {
  readonly title: string;
  readonly text: (report: RunReport, terminal: Terminal) => string;
  readonly align?: 'right';
  /** The least width to which it may be narrowed; its words then stand below each other. */
  readonly least?: number;
  /** Whether it is left out where there is no room: the higher, the earlier. */
  readonly spare?: number;
}

const COLUMNS: readonly Column[] = [
  {
    title: '',
    text: (report, { colors: { green, red } }) => (isAsExpected(report) ? green('ok') : red('FAIL')),
  },
  { title: 'profile', text: ({ profile }) => profile, least: 28 },
  { title: 'platform', text: ({ platform }) => platform, spare: 1 },
  { title: 'features accepted', text: (report) => featureSummary(report) || 'none', least: 20 },
  { title: 'path', text: ({ path }) => path ?? 'none' },
  { title: 'requests', text: ({ workload }) => workload.requests.toLocaleString('en'), align: 'right' },
  { title: 'bounced', text: ({ dma }) => formatBytes(dma.bytesBounced), align: 'right', spare: 2 },
  { title: 'mappings', text: ({ dma }) => dma.maps.toLocaleString('en'), align: 'right', spare: 3 },
  {
    title: 'faults',
    text: (report, { colors }) => (isClean(report) ? '0' : colors.red(faultCount(report))),
    align: 'right',
  },
  {
    title: 'result',
    text: (report, { colors: { dim, green, red } }) => {
      const result = resultOf(report);
      return `${isAsExpected(report) ? green(result) : red(result)} ${dim(formatDuration(report.durationMs))}`;
    },
  },
];
/** Spaces between two columns. */
const GAP = 2;
/** A narrower terminal has no table. */
const LEAST_COLUMNS = 120;

/**
 * Prints the runs as a table, and returns whether there is room for one: on a terminal of at least 120 columns, where
 * columns that do not fit are narrowed or left out. The reports are printable.
 */
export function printRunTable(terminal: Terminal, reports: readonly RunReport[]): boolean {
  const { bold } = terminal.colors;
  const widths = terminal.columns < LEAST_COLUMNS ? undefined : fit(terminal, reports);
  if (widths === undefined) return false;
  const columns = [...widths.keys()];
  const table = plainTable(
    columns.map(({ title }) => bold(title)),
    {
      colWidths: [...widths.values()].map((width) => width + GAP),
      colAligns: columns.map(({ align }) => align ?? 'left'),
      wordWrap: true,
    },
  );
  table.push(...reports.map((report) => columns.map((column) => column.text(report, terminal))));
  terminal.print(table.toString());
  if (reports.some((report) => / \+\d+$/.test(featureSummary(report))))
    terminal.print(terminal.colors.dim('+n counts the features that are not shown'));
  return true;
}

/** The columns that fit, with their widths; `undefined` where even the fewest do not. */
function fit(terminal: Terminal, reports: readonly RunReport[]): ReadonlyMap<Column, number> | undefined {
  const widths = new Map(COLUMNS.map((column) => [column, widthOf(column, reports, terminal)]));
  const total = (): number => [...widths.values()].reduce((sum, width) => sum + width + GAP, 0);
  const narrow = (): boolean => {
    for (const [column, width] of widths) {
      const over = total() - terminal.columns;
      if (over > 0 && column.least !== undefined)
        widths.set(column, Math.max(Math.min(column.least, width), width - over));
    }
    return total() <= terminal.columns;
  };
  const spares = COLUMNS.filter(({ spare }) => spare !== undefined).toSorted((a, b) => b.spare! - a.spare!);
  for (;;) {
    if (narrow()) return widths;
    const spare = spares.shift();
    if (spare === undefined) return undefined;
    widths.delete(spare);
  }
}

function widthOf({ title, text }: Column, reports: readonly RunReport[], terminal: Terminal): number {
  return Math.max(title.length, ...reports.map((report) => stripVTControlCharacters(text(report, terminal)).length));
}

/** Features that decide how a ring and its addresses work, the ones that decide most first. */
const TELLING_FEATURES = [
  'ACCESS_PLATFORM_IDENTITY_ADDRESS',
  'ACCESS_PLATFORM_NO_TRANSLATION',
  'ACCESS_PLATFORM',
  'VERSION_1',
  'RING_PACKED',
  'IN_ORDER',
  'RING_EVENT_IDX',
  'RING_INDIRECT_DESC',
  'ANY_LAYOUT',
];
const MOST_FEATURES = 5;

/**
 * The most telling features, without what every name shares, and how many more there are; `--json` and `explain` name
 * them.
 */
export function featureSummary({ features: { accepted } }: RunReport): string {
  const names = TELLING_FEATURES.filter((name) => accepted.includes(name)).slice(0, MOST_FEATURES);
  const more = accepted.length - names.length;
  return [...names.map((name) => name.replace('RING_', '')), ...(more > 0 ? [`+${more}`] : [])].join(' ');
}

function isClean({ faults, recorded }: RunReport): boolean {
  return faults.length === 0 && recorded.length === 0;
}

function faultCount({ faults, recorded }: RunReport): string {
  return recorded.length === 0 ? String(faults.length) : `${faults.length} (+${recorded.length} recorded)`;
}

function resultOf(report: RunReport): string {
  const { count } = report.leaked;
  return count === 0 ? endOf(report) : `${endOf(report)}, ${count} leaked`;
}

function endOf(report: RunReport): string {
  if (report.outcome === 'refused') return `refused ${report.refusal?.code ?? ''}`;
  if (report.outcome === 'failed') return 'failed';
  return report.workload.verified ? 'verified' : 'not verified';
}
