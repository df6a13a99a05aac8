import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { commandHere, ROOT } from '../command/command.ts';

const PAGE = readFileSync(join(ROOT, 'packages/core/docs/stepping.md'), 'utf8');
/** Each command of the page, with the blocks of its output behind it. */
const parts = PAGE.split(/^```sh\nvirtio-platform (?=step )/m)
  .slice(1)
  .map((part) => {
    const [words] = /^.*/.exec(part)!;
    return {
      words: words.split(' '),
      blocks: [...part.matchAll(/^```text\n([\s\S]*?)^```$/gm)].map(([, text]) => text!),
    };
  });

/** The times of two runs differ. */
function withoutTimes(text: string): string {
  return text.replace(/\d+ µs$/gm, 'N µs');
}

describe('the page about stepping', () => {
  it('has two commands with their output', () => {
    expect(parts.map(({ words }) => words[0])).toEqual(['step', 'step']);
    expect(parts.flatMap(({ blocks }) => blocks).length).toBeGreaterThanOrEqual(10);
  });

  it.each(parts)('shows what $words.1 really prints', async ({ words, blocks }) => {
    const { status, stdout } = await commandHere(words);
    expect(status).toBe(0);
    const printed = withoutTimes(stdout);
    let from = 0;
    for (const block of blocks) {
      for (const step of withoutTimes(block).split(/^(?=step )/m)) {
        expect(printed).toContain(step);
        expect(printed.indexOf(step)).toBeGreaterThanOrEqual(from);
        from = printed.indexOf(step);
      }
    }
  });
});
