/**
 * Characters that change how a terminal shows what stands beside them: controls (C0, C1, ESC, newline), marks of
 * writing direction, characters without width, line and paragraph separators, halves of surrogate pairs.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu;

const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };

/**
 * Returns `text` with each character that a terminal would act on as an escape: `\n`, `\x1b`, `\u202e`. For names,
 * keys, paths, messages and output of other programs, which a profile or a device chooses. The result is one line.
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => NAMED[character] ?? escapeOf(character));
}

function escapeOf(character: string): string {
  const code = character.codePointAt(0)!;
  const digits = code.toString(16);
  if (code <= 0xff) return `\\x${digits.padStart(2, '0')}`;
  return code <= 0xffff ? `\\u${digits.padStart(4, '0')}` : `\\u{${digits}}`;
}
