import { html } from '@virtio-platform/report';
import type { MatrixCell } from '@virtio-platform/runner';
import type { MatrixChange } from './compare-matrices.ts';
import { MATRIX_SCRIPT } from './matrix-script.ts';
import { MATRIX_STYLE } from './matrix-style.ts';
import {
  cellText,
  deciderNumber,
  deciderText,
  outcomeText,
  type Decider,
  type LayoutCells,
  type MatrixView,
} from './matrix-view.ts';

/**
 * The matrix as one page that loads nothing: every cell opens to what decided it and has an anchor, the table can be
 * filtered, and on paper every decision is in the list behind it. Cells of `changes` show what they were before.
 */
export function matrixHtml(view: MatrixView, changes: readonly MatrixChange[] = []): string {
  const slugs = new Slugs();
  const columns = view.platforms.map(({ profile }) => slugs.of(profile));
  const head = view.platforms.map(
    ({ profile, platform, privilege }, i) =>
      `<th scope="col" id="${columns[i]}">${escape(profile)} ${anchor(columns[i]!)}` +
      `<small>${escape(platform)}, ${escape(privilege)}</small></th>`,
  );
  const rows = view.offers.map(({ name, cells }) => {
    const row = slugs.of(name);
    const data = cells.map((cell, i) => {
      const { profile } = view.platforms[i]!;
      const before = changes.filter((change) => change.profile === profile && change.offer === name);
      return cellHtml(view, cell, `${row}--${columns[i]}`, before);
    });
    return `<tr id="${row}"><th scope="row">${escape(name)}</th>${data.join('')}</tr>`;
  });
  const deciders = view.deciders.map((decider, i) => `<li id="decided-${i + 1}">${deciderHtml(decider)}</li>`);
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>virtio-platform: offers and platforms</title>
<style>${MATRIX_STYLE}</style>
</head>
<body>
<h1>What a driver accepts, and what its addresses mean</h1>
<p>Offers of a device down, platforms across. Each cell has the path of addresses, or the code of the refusal; open it to see which rule decided.
V1 is VERSION_1, AP is ACCESS_PLATFORM; NT and ID are the experimental features of 2019. /p: a packed ring too, where the driver asks for one.</p>
<form id="filter">
<label>Filter <input id="text" type="search" placeholder="offer, path, rule …" autocomplete="off"></label>
<label>Outcome <select id="outcome">
<option value="">all</option><option value="accepted">accepted</option><option value="refused">refused</option>
</select></label>
<output id="count" for="text outcome"></output>
</form>
<div class="scroll"><table>
<thead><tr><th scope="col">offer</th>${head.join('')}</tr></thead>
<tbody>
${rows.join('\n')}
</tbody>
</table></div>
<h2>What decided</h2>
<ol>
${deciders.join('\n')}
</ol>
<script>${MATRIX_SCRIPT}</script>
</body>
</html>`;
}

function cellHtml(view: MatrixView, cells: LayoutCells, id: string, changes: readonly MatrixChange[]): string {
  const { split, packed } = cells;
  const differs = outcomeText(split) !== outcomeText(packed);
  const facts = [
    ...changes.map(({ before, layouts }) => [`before (${layouts.join(', ')})`, before?.text ?? 'not there'] as const),
    ...(differs ? [['ring', 'split'] as const] : []),
    ...factsOf(split),
    ...(differs ? [['ring', 'packed'] as const, ...factsOf(packed)] : [['rings', ringsOf(cells)] as const]),
  ];
  const details = facts.map(([name, value]) => `<dt>${escape(name)}</dt><dd>${escape(value)}</dd>`).join('');
  const [number] = deciderNumber(view, cells).split(',', 1);
  const links = `<a href="#${id}">this cell</a> <a href="#decided-${number}">source</a>`;
  const summary = `${escape(cellText(cells))}<sup>${escape(deciderNumber(view, cells))}</sup>`;
  const changed = changes.length > 0 ? ' data-changed' : '';
  return (
    `<td data-outcome="${split.outcome}" id="${id}"${changed}><details><summary>${summary}</summary>` +
    `<dl>${details}<dd>${links}</dd></dl></details></td>`
  );
}

function factsOf(cell: MatrixCell): (readonly [string, string])[] {
  const facts: [string, string][] = [
    ['rule', cell.rule],
    ...(cell.option === null ? [] : [['option', cell.option] as [string, string]]),
    ['source', cell.source],
  ];
  if (cell.refusal !== null) {
    facts.push(['why', cell.refusal.reason]);
    for (const [where, what] of Object.entries(cell.refusal.change)) facts.push([`change: ${where}`, String(what)]);
  } else {
    facts.push(['accepted', cell.accepted.join(', ') || 'nothing']);
    for (const { feature, rule, reason } of cell.declined) facts.push([`declined ${feature}`, `${reason} (${rule})`]);
  }
  return facts;
}

function ringsOf({ packed }: LayoutCells): string {
  if (packed.refusal !== null) return 'none: the device is refused';
  return packed.accepted.includes('RING_PACKED')
    ? 'split, packed'
    : 'split, also where the driver asks for a packed one';
}

function deciderHtml(decider: Decider): string {
  const links = decider.references.map(({ name, link }) => ` <a href="${escape(link)}">${escape(name)}</a>`);
  return `<b>${escape(deciderText(decider))}</b> ${escape(decider.source)}${links.join('')}`;
}

function anchor(id: string): string {
  return `<a href="#${id}" aria-label="link to here">#</a>`;
}

/** Names of anchors: letters and digits of a text, each name once. */
class Slugs {
  readonly #taken = new Set<string>();

  of(text: string): string {
    const base =
      text
        .toLowerCase()
        .replace(/[^a-z0-9]+/g, '-')
        .replace(/^-|-$/g, '') || 'unnamed';
    let slug = base;
    for (let i = 2; this.#taken.has(slug); i++) slug = `${base}-${i}`;
    this.#taken.add(slug);
    return slug;
  }
}

/** Everything that comes from a profile, an offer or a plugin goes through here. */
function escape(text: string): string {
  return html`${text}`.text;
}
