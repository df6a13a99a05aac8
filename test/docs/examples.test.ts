import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';
/** The programs in the packages' pages: TypeScript blocks that import something. */
const examples = readdirSync(join(ROOT, 'packages')).flatMap((name) => {
  const page = join(ROOT, 'packages', name, 'README.md');
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

describe('the programs in the pages of packages', () => {
  it('are found', () => {
    expect(examples.map(({ name }) => name)).toContain('core 1');
  });

  it.each(examples)('$name runs as it stands', ({ name, text }) => {
    const file = join(folder, `${name.replace(' ', '-')}.ts`);
    writeFileSync(file, text);
    const words = ['--import', 'tsx', '--conditions=@virtio-platform/source', file];
    const { status, stderr } = spawnSync(process.execPath, words, { cwd: ROOT, encoding: 'utf8' });
    expect(stderr.replace(/^\d+ \d+$/gm, '').trim()).toBe('');
    expect(status).toBe(0);
  });
});
