/** How a text is coloured; each returns it unchanged where there are no colours. */
export interface Paint {
  readonly bold: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly inverse: (text: string) => string;
  readonly red: (text: string) => string;
  readonly green: (text: string) => string;
  readonly yellow: (text: string) => string;
  readonly blue: (text: string) => string;
  readonly magenta: (text: string) => string;
  readonly cyan: (text: string) => string;
}

const same = (text: string): string => text;

/** No colours. */
export const PLAIN: Paint = {
  bold: same,
  dim: same,
  inverse: same,
  red: same,
  green: same,
  yellow: same,
  blue: same,
  magenta: same,
  cyan: same,
};

/** Cuts a text to `width` characters, with `…` where something is missing, or fills it with blanks. */
export function fit(text: string, width: number): string {
  if (width <= 0) return '';
  return text.length > width ? `${text.slice(0, width - 1)}…` : text.padEnd(width);
}

/**
 * The lines of a text of at most `room` characters, of at least one, broken at blanks; a longer word is broken where it
 * has to be.
 */
export function wrap(text: string, room: number): string[] {
  const width = Math.max(1, room);
  const lines: string[] = [];
  let line = '';
  for (let word of text.split(' ')) {
    const left = line === '' ? width : width - line.length - 1;
    if (word.length <= left) {
      line = line === '' ? word : `${line} ${word}`;
      continue;
    }
    if (line !== '') lines.push(line);
    for (; word.length > width; word = word.slice(width)) lines.push(word.slice(0, width));
    line = word;
  }
  return line === '' ? lines : [...lines, line];
}
