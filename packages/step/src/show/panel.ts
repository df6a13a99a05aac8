import { fit, type Paint } from './paint.ts';

/** The room that a panel has. */
export interface Room {
  readonly rows: number;
  readonly width: number;
  readonly paint: Paint;
}

/** One line of a panel: plain text, and how it is coloured once it has its width. */
export interface PanelLine {
  readonly text: string;
  readonly paint?: ((text: string) => string) | undefined;
}

/** A line of exactly `width` characters, coloured. */
export function panelLine({ text, paint }: PanelLine, width: number): string {
  const fitted = fit(text, width);
  return paint === undefined ? fitted : paint(fitted);
}

/**
 * The part of a list that a panel of `room` lines shows, so that the items from `first` to `last` are in it, with some
 * before them; `from` is where it begins.
 */
export function windowOf(count: number, room: number, first: number, last: number): { from: number; to: number } {
  const size = Math.max(0, Math.min(room, count));
  const before = Math.max(0, Math.floor((size - (last - first + 1)) / 2));
  const from = Math.max(0, Math.min(first - before, count - size));
  return { from, to: from + size };
}

/**
 * The rows of a table as texts, each column as wide as its longest cell. `names` are those of the columns, `right` the
 * ones that end at the right. Where all are wider than `width`, columns are left out from the last one on.
 */
export function columnsOf(
  rows: readonly (readonly string[])[],
  names: readonly string[],
  right: ReadonlySet<string>,
  width: number,
): string[] {
  const widths = names.map((_, i) => Math.max(...rows.map((cells) => cells[i]?.length ?? 0)));
  let count = names.length;
  const total = (): number => widths.slice(0, count).reduce((sum, one) => sum + one + 1, -1);
  while (count > 1 && total() > width) count--;
  return rows.map((cells) =>
    names
      .slice(0, count)
      .map((name, i) => (right.has(name) ? (cells[i] ?? '').padStart(widths[i]!) : (cells[i] ?? '').padEnd(widths[i]!)))
      .join(' ')
      .trimEnd(),
  );
}
