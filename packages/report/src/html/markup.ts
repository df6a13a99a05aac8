import { printable } from '@virtio-platform/core';

/** Markup that is finished: it is not escaped again. */
export class Markup {
  readonly text: string;

  /** `text` is markup already. */
  constructor(text: string) {
    this.text = text;
  }
}

/** What may stand in a template. `undefined`, `null` and `false` leave nothing. */
export type Fragment = string | number | Markup | undefined | null | false | readonly Fragment[];

/**
 * Makes markup of a template. Every text in it comes from a profile, a plugin or a device for all that is known here:
 * it is escaped, and characters that change what stands beside them are shown as their codes.
 */
export function html(parts: TemplateStringsArray, ...values: readonly Fragment[]): Markup {
  return new Markup(parts.reduce((text, part, i) => text + render(values[i - 1]) + part));
}

/** An element with exactly this content, which is not escaped: each of its characters counts, as for a hash. */
export function element(name: 'script' | 'style', attributes: string, content: string): Markup {
  return new Markup(`<${name}${attributes}>${content}</${name}>`);
}

/** Text of several lines, such as a profile: line ends and tabs stay. */
export function lines(text: string): Markup {
  return new Markup(
    text
      .split(/\r?\n/)
      .map((line) => line.split('\t').map(escaped).join('\t'))
      .join('\n'),
  );
}

/** Data for the script of the page, as the content of a `script` element. */
export function json(value: unknown): string {
  const text = JSON.stringify(value).replace(/[<>&\u2028\u2029]/g, codeUnit);
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}]/gu, codeUnit);
}

function render(value: Fragment): string {
  if (value === undefined || value === null || value === false) return '';
  if (value instanceof Markup) return value.text;
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' ? escaped(value) : value.map(render).join('');
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escaped(text: string): string {
  return printable(text).replace(/[&<>"']/g, (character) => ENTITIES[character]!);
}

function codeUnit(characters: string): string {
  return Array.from({ length: characters.length }, (_, i) => characters.charCodeAt(i))
    .map((unit) => `\\u${unit.toString(16).padStart(4, '0')}`)
    .join('');
}
