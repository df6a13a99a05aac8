import { isAsExpected, type RunReport } from '@virtio-platform/runner';
import { shorten, type Terminal } from '../../terminal.ts';
import { runOutcome } from '../run-problems.ts';

/** Characters before the name: the mark, the time, and the spaces between them. */
const MARGIN = 15;
/** The least room for what stands after the name. */
const LEAST_DETAIL = 12;

/**
 * One line for a run that has ended, `ok` or `FAIL` first. On a terminal it has at most as many characters as a line
 * there: what does not fit is left out. The report is printable.
 */
export function runLine(
  terminal: Pick<Terminal, 'colors' | 'columns'>,
  report: RunReport,
  more: readonly string[] = [],
): string {
  const { bold, dim, green, red } = terminal.colors;
  const isGood = isAsExpected(report);
  const mark = isGood ? green('ok  ') : red(bold('FAIL'));
  const time = dim(formatDuration(report.durationMs).padStart(8));
  const room = terminal.columns - MARGIN - 1;
  const name = shorten(report.profile, Math.max(8, room));
  const left = room - name.length - 2;
  const outcome = runOutcome(report);
  const detail = outcome ?? [...more, ...details(report)].join(', ');
  const shown = left >= LEAST_DETAIL ? clip(detail, left) : '';
  const isDim = isGood && outcome !== undefined;
  const end = shown === '' ? '' : `  ${isGood ? dim(shown) : red(shown)}`;
  return `${mark} ${time}  ${isDim ? dim(name) : name}${end}`;
}

function clip(text: string, room: number): string {
  return text.length <= room ? text : `${text.slice(0, room - 1)}…`;
}

function details({ path, workload, dma }: RunReport): string[] {
  return [
    ...(path === null ? [] : [path]),
    `${workload.requests.toLocaleString('en')} requests`,
    ...(dma.bytesBounced > 0 ? [`${formatBytes(dma.bytesBounced)} bounced`] : []),
    ...fullPool(dma.pool?.exhausted ?? 0),
  ];
}

/** How often a bounce pool had no room, which a driver of Linux prints as `swiotlb buffer is full`. */
function fullPool(times: number): string[] {
  return times === 0 ? [] : [`pool full ${times === 1 ? 'once' : `${times.toLocaleString('en')} times`}`];
}

/** A time as people read it: `12 ms`, `1.2 s`, `2:05 min`. */
export function formatDuration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 100_000) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')} min`;
}

/** A number of bytes as people read it: `512`, `1.5 KiB`. */
export function formatBytes(count: number): string {
  if (count < 1024) return String(count);
  if (count < 1024 * 1024) return `${(count / 1024).toFixed(1)} KiB`;
  return `${(count / 1024 / 1024).toFixed(1)} MiB`;
}
