import type { ExplainedFailure } from '../view/explained-failure.ts';
import { html, type Markup } from './markup.ts';

const PER_ROW = 16;

/** Bytes that were expected above those that came, sixteen in a row; those that differ are marked. */
export function hexDump({ offset, expected, actual }: NonNullable<ExplainedFailure['bytes']>): Markup {
  const [wanted, came] = [bytesOf(expected), bytesOf(actual)];
  const length = Math.max(wanted.length, came.length);
  const rows = Array.from({ length: Math.ceil(length / PER_ROW) }, (_, row) => {
    const [from, to] = [row * PER_ROW, Math.min(length, (row + 1) * PER_ROW)];
    const places = Array.from({ length: to - from }, (_each, i) => from + i);
    const isSame = places.every((i) => wanted[i] === came[i]);
    const at = (offset + from).toString(16).padStart(6, '0');
    const line = (of: readonly string[]): Markup[] => places.map((i) => byteAt(of[i], wanted[i] !== came[i]));
    return isSame
      ? html`<span class="same">${at}&nbsp;&nbsp;${line(wanted)}</span>`
      : html`<span class="wanted">${at}&nbsp;−${line(wanted)}</span
          ><span class="came">${at}&nbsp;+${line(came)}</span>`;
  });
  return html`<div class="hex" role="group" tabindex="0" aria-label="Bytes: − expected, + read">${rows}</div>`;
}

function byteAt(byte: string | undefined, isDifferent: boolean): Markup {
  return isDifferent ? html` <b>${byte ?? '··'}</b>` : html` ${byte ?? '··'}`;
}

function bytesOf(digits: string): string[] {
  return digits.match(/../g) ?? [];
}
