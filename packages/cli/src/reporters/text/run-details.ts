import type { RunReport } from '@virtio-platform/runner';
import { describeStatistics } from './print-summary.ts';
import { describeLogCut } from './log-cut.ts';
import { formatBytes } from './run-line.ts';

/** All that a report says of a run that went well, in lines: `--verbose`. The report is printable. */
export function runDetails(report: RunReport, local: (path: string) => string): string[] {
  const { features, queue, dma, workload, notifications } = report;
  const { available, used } = notifications ?? {};
  const rows: readonly (readonly [string, string])[] = [
    ['profile', `${local(report.file)}, seed ${report.seed}, began ${report.startedAt}`],
    ['on', `${report.platform}, ${report.machine} machine, ${report.device} device`],
    ['path', report.path ?? 'none'],
    ['queue', queue === null ? 'none' : `${queue.layout}, ${queue.size} entries`],
    ['accepted', features.accepted.join(' ') || 'nothing'],
    ['declined', features.declined.map(({ feature, rule }) => `${feature} (${rule})`).join(' ')],
    [
      'workload',
      `${workload.requests.toLocaleString('en')} requests, ${formatBytes(workload.bytes)}, ` +
        `${workload.errors} errors, ${workload.verified ? 'verified' : 'not verified'}`,
    ],
    [
      'mappings',
      `${dma.maps.toLocaleString('en')} made, ${dma.unmaps.toLocaleString('en')} ended, ` +
        `${formatBytes(dma.bytesBounced)} bounced`,
    ],
    [
      'notified',
      available === undefined || used === undefined
        ? ''
        : `available ${available.sent} sent, ${available.suppressed} suppressed; ` +
          `used ${used.received} received, ${used.missed} missed, ${used.suppressed} suppressed`,
    ],
    ['latency', describeLatency(report)],
    ['platform', describeStatistics(report)],
    ['log', describeLogCut(report) ?? ''],
  ];
  return rows.filter(([, text]) => text !== '').map(([title, text]) => `${title.padEnd(8)}  ${text}`);
}

/** How long buffers were away. */
function describeLatency({ latency }: RunReport): string {
  if (latency === null) return '';
  const { p50, p99, p999, max } = latency;
  return `half ${micros(p50)} µs, 99% ${micros(p99)}, 99.9% ${micros(p999)}, longest ${micros(max)}`;
}

/** Microseconds in three digits. */
function micros(value: number): string {
  return Number(value.toPrecision(3)).toLocaleString('en');
}
