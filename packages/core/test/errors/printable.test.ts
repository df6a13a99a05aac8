import { describe, expect, it } from 'vitest';
import { printable } from '../../src/index.ts';

describe('printable', () => {
  it.each([
    ['a\u001B[2Jb', 'a\\x1b[2Jb'],
    ['a\nb\r\tc', 'a\\nb\\r\\tc'],
    ['\u0000\u007F\u009B', '\\x00\\x7f\\x9b'],
    ['\u200B\u200D\u200E\u200F\uFEFF\u00AD', '\\u200b\\u200d\\u200e\\u200f\\ufeff\\xad'],
    ['\u202A\u202E\u2066\u2069\u061C', '\\u202a\\u202e\\u2066\\u2069\\u061c'],
    ['\u2028\u2029', '\\u2028\\u2029'],
    ['\uD800x', '\\ud800x'],
    ['\u{E0041}', '\\u{e0041}'],
  ])('S2 escapes what a terminal acts on: %j', (text, shown) => {
    expect(printable(text)).toBe(shown);
  });

  it('S2 leaves what is seen: letters of all writings, symbols, spaces', () => {
    const text = 'Grüße, 日本語, עברית, “quotes” — 😀 \\n';
    expect(printable(text)).toBe(text);
  });
});
