import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FINDING_KINDS } from '@virtio-platform/dma-sanitizer';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';
const document = readFileSync(join(ROOT, 'packages/core/docs/findings.md'), 'utf8');
const sections = Array.from(
  document.matchAll(/^### (DMA-[A-Z-]+)\n([\s\S]*?)(?=^##|$(?![\s\S]))/gm),
  ([, code, text]) => ({
    code: code!,
    text: text!,
  }),
);

/** The 23 checks of dma-debug, and 17 beyond it. */
const CHECKS = [
  ...Array.from({ length: 23 }, (_, i) => `DD-${String(i + 1).padStart(2, '0')}`),
  ...Array.from('abcdefghijklmnopq', (letter) => `DS-${letter}`),
];

describe('findings.md', () => {
  it('has a heading for every kind of finding, and no other', () => {
    expect(sections.map(({ code }) => code).toSorted()).toEqual(Object.keys(FINDING_KINDS).toSorted());
  });

  it.each(sections)('says which check $code answers, and what it means', ({ code, text }) => {
    const { check } = FINDING_KINDS[code as keyof typeof FINDING_KINDS];
    expect(text.startsWith(check)).toBe(true);
    expect(text.length).toBeGreaterThan(100);
  });

  it.each(CHECKS)('tells of check %s', (check) => {
    expect(document).toContain(check);
  });
});

describe('the tests of the sanitizer', () => {
  const tests = readdirSync(import.meta.dirname)
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => readFileSync(join(import.meta.dirname, name), 'utf8'))
    .join('\n');
  const titles = Array.from(tests.matchAll(/'(D[DS]-(?:\d\d|[a-q])) /g), ([, check]) => check!);

  it.each(CHECKS)('have a wrong driver for %s', (check) => {
    expect(titles).toContain(check);
  });

  it.each(Object.keys(FINDING_KINDS))('expect %s', (code) => {
    expect(tests).toContain(`'${code}'`);
  });
});
