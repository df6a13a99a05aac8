import { isFailure, type CaseReport, type ConformReport } from '@virtio-platform/conform';
import { html, pageShell, rowTable, type Markup } from '@virtio-platform/report';
import { clauseText, ringsText, severityText } from './conform-printer.ts';

/** What the page of a report says beside it. */
export interface ConformPageOptions {
  readonly toolVersion: string;
  readonly command: string;
  readonly startedAt: Date;
  /** The command that runs one case. */
  readonly again: (id: string) => string;
}

/** A report of `conform` as one page that loads nothing: the failures first, then every case and the coverage. */
export function conformPage({ device, cases, coverage }: ConformReport, options: ConformPageOptions): string {
  const { toolVersion, command, startedAt, again } = options;
  const failed = cases.filter(isFailure);
  const passed = cases.filter(({ verdict }) => verdict === 'pass').length;
  const backEnd = device.backEnd === null ? '' : ` (${device.backEnd})`;
  const verdict =
    failed.length === 0 ? `${passed} cases passed, none failed` : `${failed.length} of ${cases.length} cases failed`;
  return pageShell({
    kind: 'conform report',
    verdict,
    isGood: failed.length === 0,
    toolVersion,
    command,
    startedAt,
    target: { id: 'cases', words: 'To the cases' },
    content: html`<p class="summary">
        ${device.type} device in ${device.machine}${backEnd}: ${ringsText(device)}; offers ${device.offered.join(', ')}
      </p>
      ${
        failed.length > 0 &&
        html`<section id="failures" aria-labelledby="failures-title">
          <h2 id="failures-title">What failed</h2>
          ${failed.map((each) => failure(each, again))}
        </section>`
      }
      <section id="cases" aria-labelledby="cases-title">
        <h2 id="cases-title">Cases</h2>
        ${rowTable(
          ['verdict', 'case', 'clause', 'what it tries', 'seen'],
          cases.map((each) => ({ cells: cellsOf(each), isUnexpected: isFailure(each) })),
          'index cases',
        )}
      </section>
      <section id="coverage" aria-labelledby="coverage-title">
        <h2 id="coverage-title">Coverage</h2>
        ${rowTable(
          ['clause', 'level', 'requires', 'passed', 'failed', 'skipped', 'state'],
          coverage.map(({ clause, level, requires, passed: good, failed: bad, skipped, state }) => ({
            cells: [clauseText(clause), level, requires, good, bad, skipped, state],
            isUnexpected: bad > 0,
          })),
        )}
      </section>`,
  });
}

function cellsOf({ verdict, id, clause, level, title, seen, known }: CaseReport): readonly string[] {
  const mark = known === null ? '' : ` Known: ${known}.`;
  return [verdict, id, `${level}, ${clauseText(clause)}`, title, `${seen}${mark}`];
}

function failure(each: CaseReport, again: (id: string) => string): Markup {
  const { id, verdict, level, title, clause, seen, ring, known } = each;
  const severity = severityText(each);
  return html`<article class="failure">
    <h3><span class="mark" aria-hidden="true">✗</span> ${id} <span class="outcome">${verdict}</span></h3>
    <p class="what literal">${seen}</p>
    <p>${level}: ${title} (${clauseText(clause)})</p>
    ${severity !== '' && html`<p>Severity: ${severity}.</p>`} ${known !== null && html`<p>Known: ${known}.</p>`}
    ${
      ring.length > 0 &&
      html`<ul>
        ${ring.map((line) => html`<li><code>${line}</code></li>`)}
      </ul>`
    }
    <p class="again"><code>${again(id)}</code></p>
  </article>`;
}
