import { problemOf, type RunProblem } from '../view/run-problems.ts';
import type { ReportedRun } from '../reported-run.ts';
import { explainedFailures, type ExplainedFailure } from '../view/explained-failure.ts';
import { commandBlock } from './command-block.ts';
import { hexDump } from './hex-dump.ts';
import { html, lines, type Markup } from './markup.ts';
import { onText, outcomeText } from './run-section.ts';

/** What went wrong in one run: what, where, and what to do next. `id` is the anchor of the run. */
export function failureSection(run: ReportedRun, id: string): Markup {
  const problem = problemOf(run.report);
  if (problem === undefined) return html``;
  const { what, code, where, also, next, output, stack } = problem;
  return html`<article class="failure" aria-labelledby="${id}-wrong">
    <h3 id="${id}-wrong">
      <span class="mark" aria-hidden="true">✗</span> <a href="#${id}">${run.report.profile}</a>
      <span class="outcome">${outcomeText(run.report)}</span>
    </h3>
    <p class="on">${onText(run.report)}</p>
    <p class="what">${what}${code !== undefined && html` <span class="code">${code}</span>`}</p>
    ${
      where.length > 0 &&
      html`<h4>Where</h4>
        <ul class="where">
          ${where.map((place) => html`<li>${place}</li>`)}
        </ul>`
    }
    ${bytesTable(problem)} ${explainedFailures(run.report).map(evidence)}
    ${
      also.length > 0 &&
      html`<h4>Also</h4>
        <ul class="also">
          ${also.map((each) => html`<li>${each}</li>`)}
        </ul>`
    }
    ${
      output !== undefined &&
      html`<h4>The device’s program printed last</h4>
        <pre tabindex="0">${lines(output)}</pre>`
    }
    ${
      stack.length > 0 &&
      html`<details>
        <summary>Where it was thrown</summary>
        <pre tabindex="0">${lines(stack.join('\n'))}</pre>
      </details>`
    }
    <h4>Next</h4>
    ${next !== undefined && html`<p class="next">${next}</p>`}
    ${
      run.recording !== undefined &&
      html`<p class="next">The <a href="#${id}">timeline of the run</a> shows what came before.</p>`
    }
    ${commandBlock(run.command)}
  </article>`;
}

/** The bytes that differ and the descriptors of the buffer, where the report has them. */
function evidence({ bytes, descriptors }: ExplainedFailure): Markup {
  return html`${
    bytes !== null &&
    html`<h4>Bytes: − expected, + read</h4>
      ${hexDump(bytes)}`
  }
  ${
    descriptors.length > 0 &&
    html`<h4>Descriptors of the buffer</h4>
      <ul class="where">
        ${descriptors.map(
          ({ isIn, index, written, found }) =>
            html`<li>
              ${isIn} ${index}: ${fields(written)}${found !== null && html`; <b>in memory</b> ${fields(found)}`}
            </li>`,
        )}
      </ul>`
  }`;
}

function bytesTable({ bytes }: RunProblem): Markup {
  if (bytes.length === 0) return html``;
  return html`<div class="scroll">
    <table class="bytes">
      <thead>
        <tr>
          <th scope="col">first byte that differs</th>
          <th scope="col">expected</th>
          <th scope="col">read</th>
        </tr>
      </thead>
      <tbody>
        ${bytes.map(
          ({ place, expected, actual }) =>
            html`<tr>
              <td>${place}</td>
              <td class="address">${byte(expected)}</td>
              <td class="address wrong">${byte(actual)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}

function byte(value: number): string {
  return value.toString(16).padStart(2, '0');
}

function fields({ address, length, flags, next }: ExplainedFailure['descriptors'][number]['written']): string {
  return `${address}, ${length} bytes, flags ${flags}, next ${next}`;
}
