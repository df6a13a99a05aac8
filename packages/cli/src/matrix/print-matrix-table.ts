import type { MatrixCell } from '@virtio-platform/runner';
import { plainTable } from '../plain-table.ts';
import type { Terminal } from '../terminal.ts';
import { cellText, ruleNumber, type MatrixView } from './matrix-view.ts';

/**
 * Prints the matrix for a person at a terminal; with `showRules` each cell has the number of the rule that decided it.
 */
export function printMatrixTable(terminal: Terminal, view: MatrixView, showRules: boolean): void {
  const { bold, dim, green, red } = terminal.colors;
  const print = (cell: MatrixCell): string => {
    const text = cell.outcome === 'refused' ? red(cellText(cell)) : green(cellText(cell));
    return showRules ? `${text} ${dim(`[${ruleNumber(view, cell)}]`)}` : text;
  };
  const table = plainTable(['offer', ...view.platforms.map(({ profile }) => profile)].map((title) => bold(title)));
  for (const { name, cells } of view.offers) table.push([name, ...cells.map(print)]);
  terminal.print(table.toString());
  terminal.print(
    dim('\nV1 VERSION_1, AP ACCESS_PLATFORM; of 2019 and experimental: NT no-translation, ID identity-address'),
  );
  if (!showRules) return;
  for (const [i, { rule, source }] of view.rules.entries()) terminal.print(`[${i + 1}] ${bold(rule)}  ${dim(source)}`);
}
