import { Writable } from 'node:stream';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { Terminal } from '../src/terminal.ts';

/** A terminal of `columns`, or a file where there are none, and what was printed to it. */
function open(columns?: number): { readonly terminal: Terminal; readonly printed: () => string } {
  let text = '';
  const write = (chunk: unknown, _encoding: string, done: () => void): void => {
    text += String(chunk);
    done();
  };
  const stream = (): Writable => new Writable({ decodeStrings: false, write });
  const stdout = Object.assign(stream(), columns === undefined ? {} : { columns, isTTY: true });
  return { terminal: new Terminal({ stdout, stderr: stream(), cwd: '/' }), printed: () => text };
}

afterEach(() => {
  vi.unstubAllEnvs();
});

describe('Terminal', () => {
  it('ends the lines of a sentence at words on a terminal, and begins them behind its margin', () => {
    const { terminal, printed } = open(40);
    terminal.printSentence(4, 'one two three four five six seven eight nine');
    expect(printed()).toBe('    one two three four five six seven\n    eight nine\n');
  });

  it('prints a sentence in one line to a file', () => {
    const { terminal, printed } = open();
    terminal.printSentence(2, 'word '.repeat(40).trim());
    expect(printed()).toBe(`  ${'word '.repeat(40).trim()}\n`);
  });

  it.each([
    [undefined, '', '', false],
    [80, '', '', true],
    [80, '1', '', false],
    [80, '1', '1', false],
    [undefined, '', '1', true],
    [80, '', '0', false],
  ])('has colours as terminal, NO_COLOR and FORCE_COLOR say: %s, %s, %s', (columns, none, force, expected) => {
    vi.stubEnv('NO_COLOR', none);
    vi.stubEnv('FORCE_COLOR', force);
    expect(open(columns).terminal.colors.isColorSupported).toBe(expected);
  });
});
