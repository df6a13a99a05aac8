import { plainTable } from '../plain-table.ts';
import type { Terminal } from '../terminal.ts';
import { cellText, deciderNumber, deciderText, type LayoutCells, type MatrixView } from './matrix-view.ts';

/** Blanks between two columns. */
const GAP = 2;

/**
 * Prints the matrix for a person at a terminal, as many platforms beside each other as it is wide; with `showRules`
 * each cell has the number of what decided it.
 */
export function printMatrixTable(terminal: Terminal, view: MatrixView, showRules: boolean): void {
  const { bold, dim, green, red } = terminal.colors;
  const text = (cells: LayoutCells): string =>
    showRules ? `${cellText(cells)} [${deciderNumber(view, cells)}]` : cellText(cells);
  const print = (cells: LayoutCells): string => {
    const paint = cells.split.outcome === 'refused' ? red : green;
    const number = showRules ? ` ${dim(`[${deciderNumber(view, cells)}]`)}` : '';
    return `${paint(cellText(cells))}${number}`;
  };
  const widths = view.platforms.map(({ profile }, i) =>
    Math.max(profile.length, ...view.offers.map(({ cells }) => text(cells[i]!).length)),
  );
  const first = Math.max(...view.offers.map(({ name }) => name.length), 'offer'.length);
  for (const [i, [start, end]] of partsOf(widths, terminal.columns - first - GAP).entries()) {
    if (i > 0) terminal.print('');
    const titles = ['offer', ...view.platforms.slice(start, end).map(({ profile }) => profile)];
    const table = plainTable(titles.map((title) => bold(title)));
    for (const { name, cells } of view.offers) table.push([name, ...cells.slice(start, end).map(print)]);
    terminal.print(table.toString());
  }
  terminal.print('');
  const legend = 'V1 VERSION_1, AP ACCESS_PLATFORM; of 2019 and experimental: NT no-translation, ID identity-address';
  terminal.printHanging('', dim(`${legend}; /p: a packed ring too, where the driver asks for one`));
  if (!showRules) return;
  for (const [i, decider] of view.deciders.entries())
    terminal.printHanging('', `[${i + 1}] ${bold(deciderText(decider))}  ${dim(decider.source)}`);
}

/** Cuts columns of these widths into runs that fit, each of at least one. */
function partsOf(widths: readonly number[], columns: number): (readonly [number, number])[] {
  const parts: [number, number][] = [];
  let left = 0;
  for (const [i, width] of widths.entries()) {
    const part = parts.at(-1);
    left -= width + GAP;
    if (part !== undefined && left >= 0) part[1] = i + 1;
    else {
      parts.push([i, i + 1]);
      left = columns - width - GAP;
    }
  }
  return parts;
}
