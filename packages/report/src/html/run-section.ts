import type { RunReport } from '@virtio-platform/runner';
import type { ReportedRun } from '../reported-run.ts';
import { addressMap } from '../view/address-map.ts';
import { ringViews } from '../view/ring-view.ts';
import { addressSection } from './address-section.ts';
import { commandBlock } from './command-block.ts';
import { formatBytes, formatCount, formatTime, plural } from './format.ts';
import { latencySection } from './latency-section.ts';
import { html, lines, type Markup } from './markup.ts';
import { negotiationSection } from './negotiation-section.ts';
import { ringSection } from './ring-section.ts';
import { timelineSection } from './timeline-section.ts';

/** What people read of an outcome, beside the mark that says whether it was expected. */
export function outcomeText({ outcome, differences }: RunReport): string {
  if (differences.length > 0) return outcome === 'completed' ? 'differs' : outcome;
  return outcome === 'completed' ? 'completed' : `${outcome}, as expected`;
}

/** All of one run: `id` is its anchor. */
export function runSection(run: ReportedRun, id: string, profile: string | undefined, isOpen: boolean): Markup {
  const { report, recording, summary, command, file, seed } = run;
  const isExpected = report.differences.length === 0;
  const queues = new Set(recording?.events.filter(({ kind }) => kind === 'enableQueue').map(({ queue }) => queue));
  return html`<details class="run ${isExpected ? 'expected' : 'unexpected'}" id="${id}" ${isOpen && html` open`}>
    <summary>
      <h3><span class="mark" aria-hidden="true">${isExpected ? '✓' : '✗'}</span> ${report.profile}</h3>
      <span class="outcome">${outcomeText(report)}</span>
      <span class="on">${onText(report)}</span>
    </summary>
    ${summary !== '' && html`<p class="summary">${summary}</p>`} ${facts(run)} ${logNote(report)}
    ${timelineSection(recording, id)}
    <div class="pair">${addressSection(addressMap(run), run)}${ringSection(ringViews(run), queues.size)}</div>
    ${latencySection(recording?.latency)} ${negotiationSection(run)}
    <section class="again">
      <h4>Again</h4>
      ${commandBlock(command)}
      <p class="note">Profile ${file}${seed !== undefined && html`, seed ${seed}`}.</p>
      ${
        profile !== undefined &&
        html`<details class="profile">
          <summary>The profile</summary>
          <pre tabindex="0">${lines(profile)}</pre>
        </details>`
      }
    </section>
  </details>`;
}

/** Platform, machine, device, path and ring in a line. */
export function onText({ platform, machine, device, path, queue }: RunReport): string {
  const ring = queue === null ? [] : [`${queue.layout} ${queue.size}`];
  return [`${platform} on ${machine}`, device, ...(path === null ? [] : [path]), ...ring].join(' · ');
}

function logNote({ logCut }: RunReport): Markup {
  if (logCut === null) return html``;
  const { program, before, bytes } = logCut;
  return html`<p class="note log-cut">
    The log of ${program} was too long: its first ${formatBytes(bytes)}, up to ${formatTime(before)} of the run, are
    missing.
  </p>`;
}

function facts({ report, recording }: ReportedRun): Markup {
  const { workload, durationMs, dma, notifications, faults, recorded, findings, sanitizer, leaked } = report;
  const seconds = durationMs / 1000;
  const found = sanitizer?.findings ?? findings.length;
  const rows: [string, string | number, string, boolean][] = [
    ['requests', formatCount(workload.requests), workload.verified ? 'verified' : '', false],
    ['errors', formatCount(workload.errors), '', workload.errors > 0],
    ['data', formatBytes(workload.bytes), '', false],
    ['duration', formatTime(durationMs * 1000), '', false],
    [
      'requests/s',
      seconds > 0 ? formatCount(Math.round(workload.requests / seconds)) : '–',
      'start and end included',
      false,
    ],
    ['p50', recording?.latency ? formatTime(recording.latency.p50) : '–', '', false],
    ['p99', recording?.latency ? formatTime(recording.latency.p99) : '–', '', false],
    [
      'faults',
      formatCount(faults.length),
      recorded.length > 0 ? `${recorded.length} in the IOMMU` : '',
      faults.length > 0,
    ],
    ...(sanitizer === null
      ? []
      : [['findings', formatCount(found), '', found > 0] as [string, string, string, boolean]]),
    ['mappings', formatCount(dma.maps), dma.live > 0 ? `${dma.live} not given back` : '', dma.live > 0],
    ...(dma.bytesBounced > 0
      ? [['copied', formatBytes(dma.bytesBounced), '', false] as [string, string, string, boolean]]
      : []),
    ...(dma.pool === null
      ? []
      : [
          [
            'pool',
            `${dma.pool.highWater} of ${dma.pool.slots}`,
            `slots at most; ${dma.pool.exhausted} times full`,
            false,
          ] as [string, string, string, boolean],
        ]),
    ...(notifications === null
      ? []
      : [
          [
            'notifications',
            formatCount(notifications.available.sent),
            `${formatCount(notifications.available.suppressed)} suppressed`,
            false,
          ] as [string, string, string, boolean],
        ]),
    ...(leaked.count > 0
      ? [['leaked', plural(leaked.count, 'thing'), '', true] as [string, string, string, boolean]]
      : []),
  ];
  return html`<dl class="facts">
    ${rows.map(
      ([name, value, small, isBad]) =>
        html`<div${isBad && html` class="bad"`}><dt>${name}</dt><dd data-fact="${name}">${value}${
          small !== '' && html` <small>${small}</small>`
        }</dd></div>`,
    )}
  </dl>`;
}
