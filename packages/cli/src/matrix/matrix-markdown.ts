import { cellText, ruleNumber, type MatrixView } from './matrix-view.ts';

/** The matrix as a table of Markdown; with `showRules` followed by the rules that its cells name by number. */
export function matrixMarkdown(view: MatrixView, showRules: boolean): string {
  const head = ['offer', ...view.platforms.map(({ profile }) => escape(profile))];
  const rows = view.offers.map(({ name, cells }) => [
    escape(name),
    ...cells.map((cell) => {
      const text = cell.outcome === 'refused' ? `**${escape(cellText(cell))}**` : escape(cellText(cell));
      return showRules ? `${text} [${ruleNumber(view, cell)}]` : text;
    }),
  ]);
  const legend = view.rules.map(({ rule, source }, i) => `${i + 1}. \`${rule}\`: ${escape(source)}`);
  const table = [line(head), line(head.map(() => '---')), ...rows.map(line)];
  return [...table, ...(showRules ? ['', ...legend] : [])].join('\n');
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

/** What would end a cell or be read as markup. */
function escape(text: string): string {
  return text.replace(/[\\|`*_<>[\]]/g, (character) => `\\${character}`).replace(/\s+/g, ' ');
}
