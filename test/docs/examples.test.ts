import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { transformSync } from 'rolldown/utils';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';
/** Pages with programs, by what their programs are called here. */
const pages = [
  ...readdirSync(join(ROOT, 'packages')).map((name) => [name, join(ROOT, 'packages', name, 'README.md')] as const),
  ['readme', join(ROOT, 'README.md')] as const,
  ...['runs-from-node', 'tracing'].map((name) => [name, join(ROOT, 'packages/core/docs', `${name}.md`)] as const),
];

/** The programs in the pages: TypeScript blocks that import something. */
const examples = pages.flatMap(([name, page]) => {
  if (!existsSync(page)) return [];
  const blocks = [...readFileSync(page, 'utf8').matchAll(/```ts\n([\s\S]*?)```/g)].map(([, text]) => text!);
  return blocks
    .filter((text) => text.includes('import ') && !text.includes('describe'))
    .map((text, i) => ({ name: `${name} ${i + 1}`, text }));
});

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(ROOT, 'test', '.outside-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('the programs in the pages', () => {
  it('are found', () => {
    expect(examples.map(({ name }) => name)).toEqual(expect.arrayContaining(['core 1', 'runs-from-node 4']));
  });

  it.each(examples)('$name runs as it stands', ({ name, text }) => {
    // With the packages as they are built, and without a loader: most start in half of the time.
    const words = [...(needsLoader(text) ? ['--import', 'tsx'] : []), writeProgram(name.replace(' ', '-'), text)];
    const { status, stderr } = spawnSync(process.execPath, words, { cwd: ROOT, encoding: 'utf8', timeout: 60_000 });
    expect(stderr.replace(/^\d+ \d+$/gm, '').trim()).toBe('');
    expect(status).toBe(0);
  });
});

/** Node 20 has no `using`, and a transformed program would import what stands for it. */
function needsLoader(text: string): boolean {
  return text.includes('await using ');
}

/** Writes a program, as JavaScript where it needs no loader, and returns its path. */
function writeProgram(name: string, text: string): string {
  const file = join(folder, needsLoader(text) ? `${name}.ts` : `${name}.mjs`);
  writeFileSync(file, needsLoader(text) ? text : transformSync('program.ts', text).code);
  return file;
}
