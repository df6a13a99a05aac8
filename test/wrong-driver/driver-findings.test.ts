import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DRIVER_RULES } from '@virtio-platform/serve';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';

const document = readFileSync(join(ROOT, 'packages/core/docs/driver-findings.md'), 'utf8');
const sections = Array.from(
  document.matchAll(/^### (DRV-[A-Z-]+)\n([\s\S]*?)(?=^##|$(?![\s\S]))/gm),
  ([, code, text]) => ({ code: code!, text: text! }),
);

describe('driver-findings.md', () => {
  it('has a heading for every rule, and no other', () => {
    expect(sections.map(({ code }) => code).toSorted()).toEqual(Object.keys(DRIVER_RULES).toSorted());
  });

  it.each(sections)('says which section $code breaks, whether it is advice, and what it means', ({ code, text }) => {
    const { clause, level } = DRIVER_RULES[code as keyof typeof DRIVER_RULES];
    if (!code.startsWith('DRV-REQUEST')) expect(text).toContain(`${clause}.`);
    expect(/\. Advice\b/.test(text)).toBe(level === 'advice');
    expect(text.length).toBeGreaterThan(70);
  });
});
