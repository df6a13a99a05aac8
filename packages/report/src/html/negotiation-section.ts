import { NEGOTIATION_STAGES, type NegotiationStage } from '@virtio-platform/core/negotiation';
import type { ReportedRun } from '../reported-run.ts';
import { plural } from './format.ts';
import { html, type Markup } from './markup.ts';

/** The way of the feature bits from what the device offers to what the driver accepts, stage by stage. */
export function negotiationSection({ report, negotiation }: ReportedRun): Markup {
  const { offered, accepted } = report.features;
  if (negotiation === undefined || offered.length === 0) return html``;
  const { decisions, refused } = negotiation;
  const decided = new Map(decisions.map((decision) => [decision.feature, decision]));
  const left = decisions.filter(({ outcome }) => outcome === 'declined').length;
  const rows = offered.map((feature) => {
    const decision = decided.get(feature);
    const isRefused = refused !== null;
    const outcome = isRefused && decision?.outcome !== 'declined' ? 'refused' : (decision?.outcome ?? 'undecided');
    const end = outcome === 'refused' ? refused : decision;
    return html`<tr class="bit ${outcome}">
      <th scope="row">${feature}</th>
      <td class="way">${way(end?.stage, outcome)}</td>
      <td class="outcome">${MARKS[outcome]} ${outcome}</td>
      <td class="why">
        ${
          outcome === 'refused'
            ? html`<span class="reason">the device was refused</span>`
            : decision &&
              html`<span class="reason">${decision.reason}</span> <span class="rule">${decision.rule}</span>
                <span class="source">${decision.source}</span>`
        }
      </td>
    </tr>`;
  });
  return html`<section class="negotiation">
    <h4>Negotiation</h4>
    <p class="flow">
      <b>${offered.length}</b> offered <span aria-hidden="true">→</span>
      <b>${left}</b> ${left === 1 ? 'leaves' : 'leave'} by a rule <span aria-hidden="true">→</span>
      <b>${accepted.length}</b> accepted; ${report.path === null ? html`no path` : html`path <b>${report.path}</b>`}
    </p>
    ${
      refused &&
      report.refusal &&
      html`<p class="refusal">
        <b>Refused in stage ${refused.stage ?? 'of the platform'}</b> by
        <span class="rule">${refused.rule}</span> [${report.refusal.code}]: ${report.refusal.reason}
        <span class="source">${refused.source}</span>${
          typeof report.refusal.option === 'string' &&
          html` Decided by <span class="rule">${report.refusal.option}</span>.`
        }
      </p>`
    }
    <table class="bits">
      <caption class="hidden">
        ${plural(offered.length, 'offered feature')}, and where each of them ends
      </caption>
      <thead>
        <tr>
          <th scope="col">feature</th>
          <th scope="col" class="way">
            <span class="stages"
              >${NEGOTIATION_STAGES.map(
                (stage, i) => html`<abbr title="stage ${i + 1}: ${stage}">${i + 1}</abbr>`,
              )}</span
            >
          </th>
          <th scope="col">outcome</th>
          <th scope="col">reason, rule and source</th>
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>
    <p class="note stages-key">
      Stages: ${NEGOTIATION_STAGES.map((stage, i) => html`<span>${i + 1} ${stage}</span> `)}
    </p>
  </section>`;
}

const MARKS = { accepted: '✓', declined: '✕', refused: '⊘', undecided: '–' } as const;

/** Where a stage is drawn. */
function x(stage: number): number {
  return 8 + stage * 16;
}

/** A line through the stages that ends where the bit leaves, or goes on to the end. */
function way(stage: NegotiationStage | undefined, outcome: keyof typeof MARKS): Markup {
  const stages = NEGOTIATION_STAGES.length;
  const at = stage === undefined ? -1 : NEGOTIATION_STAGES.indexOf(stage);
  const isLeaving = outcome === 'declined' || outcome === 'refused';
  const end = isLeaving && at >= 0 ? at : stages - 1;
  const label = isLeaving
    ? `leaves in stage ${stage ?? 'of the platform'}`
    : `${outcome}${stage === undefined ? '' : ` in stage ${stage}`}`;
  const dots = NEGOTIATION_STAGES.map((_, i) => {
    const kind = i === at ? 'deciding' : i <= end ? 'passed' : 'left';
    if (i === at && isLeaving) return html`<path class="leaves" d="M${x(i) - 4} 4l8 8m0 -8l-8 8" />`;
    return html`<circle class="${kind}" cx="${x(i)}" cy="8" r="${i === at ? 4.5 : 2}" />`;
  });
  return html`<svg viewBox="0 0 ${16 * stages} 16" role="img" aria-label="${label}">
    <line class="passed" x1="${x(0)}" x2="${x(end)}" y1="8" y2="8" />
    ${dots}
  </svg>`;
}
