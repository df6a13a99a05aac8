import type { MatrixCell } from '@virtio-platform/runner';
import { MATRIX_SCRIPT } from './matrix-script.ts';
import { MATRIX_STYLE } from './matrix-style.ts';
import { cellText, type MatrixView } from './matrix-view.ts';

/** The matrix as one page that loads nothing: every cell opens to what decided it, and the table can be filtered. */
export function matrixHtml(view: MatrixView): string {
  const head = view.platforms.map(
    ({ profile, platform, privilege }) =>
      `<th scope="col">${escape(profile)}<small>${escape(platform)}, ${escape(privilege)}</small></th>`,
  );
  const rows = view.offers.map(
    ({ name, cells }) => `<tr><th scope="row">${escape(name)}</th>${cells.map(cellHtml).join('')}</tr>`,
  );
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
V1 is VERSION_1, AP is ACCESS_PLATFORM; NT and ID are the experimental features of 2019.</p>
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
<script>${MATRIX_SCRIPT}</script>
</body>
</html>`;
}

function cellHtml(cell: MatrixCell): string {
  const facts: [string, string][] = [
    ['rule', cell.rule],
    ['source', cell.source],
  ];
  if (cell.refusal !== null) {
    facts.push(['why', cell.refusal.reason]);
    for (const [where, what] of Object.entries(cell.refusal.change)) facts.push([`change: ${where}`, String(what)]);
  } else {
    facts.push(['accepted', cell.accepted.join(', ') || 'nothing']);
    for (const { feature, rule, reason } of cell.declined) facts.push([`declined ${feature}`, `${reason} (${rule})`]);
  }
  const details = facts.map(([name, value]) => `<dt>${escape(name)}</dt><dd>${escape(value)}</dd>`).join('');
  const summary = escape(cellText(cell));
  return `<td data-outcome="${cell.outcome}"><details><summary>${summary}</summary><dl>${details}</dl></details></td>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Everything that comes from a profile, an offer or a plugin goes through here. */
function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}
