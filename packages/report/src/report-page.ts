import { failureSection } from './html/failure-section.ts';
import { formatCount, formatTime, plural } from './html/format.ts';
import { html, json, type Markup } from './html/markup.ts';
import { pageShell } from './html/page-shell.ts';
import { onText, outcomeText, runSection } from './html/run-section.ts';
import { pageScript } from './page-files.ts';
import type { ReportedRun, ReportedRuns } from './reported-run.ts';
import { timelineWords } from './view/timeline-data.ts';

/** The most runs that a page shows in full; the others are in its table. */
export const MOST_DETAILED = 80;
/** Characters of the profiles on a page, together. */
const MOST_PROFILE_TEXT = 400_000;

/** One page of HTML that loads nothing: what went wrong first, then all of each run. */
export function reportPage(reported: ReportedRuns): string {
  const { runs, toolVersion, command, startedAt, earlyEnd } = reported;
  const wrong = runs.filter(({ report }) => report.differences.length > 0);
  const detailed = new Set([...wrong, ...runs.filter((run) => !wrong.includes(run))].slice(0, MOST_DETAILED));
  const idOf = (run: ReportedRun): string => `run-${runs.indexOf(run) + 1}`;
  const texts = profileTexts(reported);
  const verdict = verdictText(runs, wrong, earlyEnd);
  const isGood = wrong.length === 0 && earlyEnd === undefined && runs.length > 0;
  // The run that somebody looks for is open: the only one, or each that is wrong.
  const isOpen = (run: ReportedRun): boolean => runs.length === 1 || (wrong.includes(run) && wrong.length <= 4);
  return pageShell({
    kind: 'run report',
    verdict,
    isGood,
    toolVersion,
    command,
    startedAt,
    target: { id: 'runs', words: 'To the runs' },
    content: html`
      ${
        wrong.length > 0 &&
        html`<section id="failures" aria-labelledby="failures-title">
          <h2 id="failures-title">What went wrong</h2>
          ${wrong.slice(0, MOST_DETAILED).map((run) => failureSection(run, idOf(run)))}
          ${wrong.length > MOST_DETAILED && html`<p class="note">${formatCount(MOST_DETAILED)} of ${formatCount(wrong.length)} are shown.</p>`}
        </section>`
      }
      <section id="runs" aria-labelledby="runs-title">
        <h2 id="runs-title">${runs.length === 1 ? 'The run' : 'Runs'}</h2>
        ${runs.length > 1 && indexTable(reported, detailed, idOf)}
        ${detailed.size < runs.length && html`<p class="note sampled"><b>Sampled:</b> ${formatCount(detailed.size)} of ${formatCount(runs.length)} runs are shown in full.</p>`}
        ${runs.filter((run) => detailed.has(run)).map((run) => runSection(run, idOf(run), texts.get(run.file), isOpen(run)))}
      </section>
    `,
    script: { text: pageScript(), words: json(timelineWords()) },
  });
}

function verdictText(
  runs: readonly ReportedRun[],
  wrong: readonly ReportedRun[],
  earlyEnd: string | undefined,
): string {
  const early = earlyEnd === undefined ? '' : ` (${earlyEnd})`;
  if (runs.length === 0) return `No run has ended${early}`;
  if (wrong.length > 0)
    return runs.length === 1
      ? `The run is not as expected${early}`
      : `${formatCount(wrong.length)} of ${plural(runs.length, 'run')} ${wrong.length === 1 ? 'is' : 'are'} not as expected${early}`;
  return runs.length === 1 ? `The run is as expected${early}` : `All ${plural(runs.length, 'run')} as expected${early}`;
}

function indexTable(
  { runs }: ReportedRuns,
  detailed: ReadonlySet<ReportedRun>,
  idOf: (run: ReportedRun) => string,
): Markup {
  return html`<div class="scroll">
    <table class="index">
      <thead>
        <tr>
          <th scope="col">run</th>
          <th scope="col">outcome</th>
          <th scope="col">on</th>
          <th scope="col" class="number">requests</th>
          <th scope="col" class="number">p50</th>
          <th scope="col" class="number">p99</th>
          <th scope="col" class="number">faults</th>
          <th scope="col" class="number">time</th>
        </tr>
      </thead>
      <tbody>
        ${runs.map((run) => {
          const { report, recording } = run;
          const isExpected = report.differences.length === 0;
          const { p50, p99 } = recording?.latency ?? {};
          return html`<tr class="${isExpected ? 'expected' : 'unexpected'}">
            <th scope="row">
              <span class="mark" aria-hidden="true">${isExpected ? '✓' : '✗'}</span>
              ${detailed.has(run) ? html`<a href="#${idOf(run)}">${report.profile}</a>` : report.profile}
            </th>
            <td>${outcomeText(report)}</td>
            <td class="on">${onText(report)}</td>
            <td class="number">${formatCount(report.workload.requests)}</td>
            <td class="number">${p50 === undefined ? '–' : formatTime(p50)}</td>
            <td class="number">${p99 === undefined ? '–' : formatTime(p99)}</td>
            <td class="number">${formatCount(report.faults.length)}</td>
            <td class="number">${formatTime(report.durationMs * 1000)}</td>
          </tr>`;
        })}
      </tbody>
    </table>
  </div>`;
}

/** The texts of profiles that a page has room for. */
function profileTexts({ profiles }: ReportedRuns): ReadonlyMap<string, string> {
  let room = MOST_PROFILE_TEXT;
  return new Map(
    [...profiles].filter(([, text]) => {
      const fits = text.length <= room;
      if (fits) room -= text.length;
      return fits;
    }),
  );
}
