import { cellText, deciderNumber, type MatrixView } from './matrix-view.ts';

/** The matrix as a table of Markdown; with `showRules` followed by what decided its cells, by number. */
export function matrixMarkdown(view: MatrixView, showRules: boolean): string {
  const head = ['offer', ...view.platforms.map(({ profile }) => escapeMarkdown(profile))];
  const rows = view.offers.map(({ name, cells }) => [
    escapeMarkdown(name),
    ...cells.map((cell) => {
      const plain = escapeMarkdown(cellText(cell));
      const text = cell.split.outcome === 'refused' ? `**${plain}**` : plain;
      return showRules ? `${text} [${deciderNumber(view, cell)}]` : text;
    }),
  ]);
  const legend = view.deciders.map(({ rule, option, source, references }, i) => {
    const by = option === null ? `\`${rule}\`` : `\`${rule}\`, \`${option}\``;
    const links = references.map(({ name, link }) => ` [${escapeMarkdown(name)}](${link})`).join('');
    return `${i + 1}. ${by}: ${escapeMarkdown(source)}${links}`;
  });
  return [...markdownTable(head, rows), ...(showRules ? ['', ...legend] : [])].join('\n');
}

/** The lines of a table of Markdown; cells are escaped already. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  return [line(head), line(head.map(() => '---')), ...rows.map(line)];
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

/** What would end a cell or be read as markup. */
export function escapeMarkdown(text: string): string {
  return text.replace(/[\\|`*_<>[\]]/g, (character) => `\\${character}`).replace(/\s+/g, ' ');
}
