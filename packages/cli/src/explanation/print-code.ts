import type { CodeExplanation } from '@virtio-platform/runner';
import type { Terminal } from '../terminal.ts';

const KINDS: Readonly<Record<CodeExplanation['kind'], string>> = {
  error: 'an error',
  finding: 'a finding of the DMA sanitizer',
  driver: 'a finding of `serve --strict` in a driver',
};

/** Prints what the documentation says of a code, without the marks of Markdown. */
export function printCode(terminal: Terminal, { code, kind, page, text }: CodeExplanation): void {
  const { bold, dim } = terminal.colors;
  terminal.print(`${bold(code)}  ${KINDS[kind]}\n`);
  for (const paragraph of text.split(/\n\n+/)) {
    const isVerbatim = /^(?:```|\||- )/.test(paragraph);
    if (isVerbatim) terminal.print(paragraph);
    else terminal.printSentence(0, withoutMarks(paragraph));
  }
  terminal.print(dim(`\n@virtio-platform/core ${page}`));
}

/** A paragraph in one line, links as their text. */
function withoutMarks(paragraph: string): string {
  return paragraph
    .replaceAll('\n', ' ')
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replaceAll('`', '')
    .replaceAll('**', '');
}
