import { html, type Markup } from './markup.ts';

/** A command line that can be copied. */
export function commandBlock(command: string): Markup {
  return html`<div class="command">
    <code tabindex="0">${commandWords(command)}</code><button type="button" class="copy">Copy</button>
  </div>`;
}

/** A command line that is broken between its words only. */
export function commandWords(command: string): Markup[] {
  return command.split(' ').map((word, i) => html`${i > 0 && ' '}<span>${word}</span>`);
}
