import { createReadStream } from 'node:fs';

/** Characters of a line: the longest reports, of runs that fail with many queues, have some million. */
const MOST_LINE = 64 * 1024 * 1024;

/** A line of a file. */
export interface TextLine {
  readonly text: string;
  /** Whether its end is there: the last line of a file that was cut off has none. */
  readonly isWhole: boolean;
}

/** The lines of a file. Throws `RangeError` for one that is longer than any of a blob, and what reading throws. */
export async function* textLines(path: string): AsyncGenerator<TextLine> {
  let rest = '';
  for await (const chunk of createReadStream(path, { encoding: 'utf8', highWaterMark: 1024 * 1024 })) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop() ?? '';
    for (const text of lines) yield { text, isWhole: true };
    if (rest.length > MOST_LINE) throw new RangeError(`has a line of more than ${MOST_LINE} characters`);
  }
  if (rest !== '') yield { text: rest, isWhole: false };
}
