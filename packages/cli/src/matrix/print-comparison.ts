import { plainTable } from '../plain-table.ts';
import type { Terminal } from '../terminal.ts';
import type { ComparedCell, MatrixChange } from './compare-matrices.ts';
import { escapeMarkdown, markdownTable } from './matrix-markdown.ts';

const HEAD = ['profile', 'offer', 'ring', 'before', 'after'] as const;

/** Prints what changed for a person: how many cells first, then each with what it was and is, and what decided. */
export function printComparison(terminal: Terminal, changes: readonly MatrixChange[], before: string): void {
  const { bold, dim, yellow } = terminal.colors;
  if (changes.length === 0) {
    terminal.print(`no cell changed since ${before}`);
    return;
  }
  terminal.print(`${yellow(`${changes.length} changed`)} since ${before}\n`);
  const table = plainTable(HEAD.map((title) => bold(title)));
  for (const change of changes) table.push([...columnsOf(change)]);
  terminal.print(table.toString());
  terminal.print('');
  for (const why of new Set(changes.map(reasonOf))) terminal.printHanging('', dim(why));
}

/** The same as a table of Markdown. */
export function comparisonMarkdown(changes: readonly MatrixChange[]): string {
  const rows = changes.map((change) => [...columnsOf(change), reasonOf(change)].map(escapeMarkdown));
  return markdownTable([...HEAD, 'decided by'], rows).join('\n');
}

function columnsOf({ profile, offer, layouts, before, after }: MatrixChange): readonly string[] {
  return [profile, offer, layouts.join(', '), textOf(before, after), textOf(after, before)];
}

/** A cell that comes to the same word says what else is different. */
function textOf(cell: ComparedCell | null, other: ComparedCell | null): string {
  if (cell === null) return 'not there';
  if (cell.text !== other?.text) return cell.text;
  const extra = cell.accepted.filter((name) => !other.accepted.includes(name));
  return extra.length > 0 ? `${cell.text} with ${extra.join(', ')}` : cell.text;
}

/** What decided otherwise: the rules of features that are accepted in one of the two, or the decision of the cell. */
function reasonOf({ before, after }: MatrixChange): string {
  const [was, is] = [before?.decidedBy ?? 'nothing', after?.decidedBy ?? 'nothing'];
  if (was !== is) return `decided by ${was}, now by ${is}`;
  const [old, now] = [before?.accepted ?? [], after?.accepted ?? []];
  const features = [...now.filter((name) => !old.includes(name)), ...old.filter((name) => !now.includes(name))];
  const reasons = features.map((name) => {
    const [first, second] = [before, after].map((cell) => cell?.rules[name] ?? 'no rule');
    return first === second ? `${name} by ${second}` : `${name} by ${first}, now by ${second}`;
  });
  return reasons.length === 0 ? `decided by ${is}` : reasons.join('; ');
}
