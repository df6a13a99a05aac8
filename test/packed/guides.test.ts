import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { runProgram, succeed } from './program.ts';
import { ROOT } from './public-packages.ts';

const project = inject('project');
const command = join(project, 'node_modules', '.bin', 'virtio-platform');

/** Below the project of a user: what a page has its reader install is there already. */
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(project, 'guides-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The lines of the first steps of a page. */
function firstSteps(page: string): string[] {
  const [, lines = ''] = /^```sh\n([\s\S]*?)^```$/m.exec(page) ?? [];
  return lines.trimEnd().split('\n');
}

/** The packages that a line installs; `undefined` for every other line. */
function installs(line: string): string[] | undefined {
  return /^npm install (?:--save-dev )?(.+)$/.exec(line)?.[1]?.split(' ');
}

describe('a reader of a page, in a folder made by `npm init -y`', () => {
  it.each([
    ['writing-a-platform', 'offset.yaml'],
    ['writing-a-device-type', 'profiles/keyboard.yaml'],
    ['writing-a-machine', 'profiles/tiny.yaml'],
  ])('runs what %s says, as it stands', async (name, profile) => {
    const page = readFileSync(join(ROOT, `packages/core/docs/${name}.md`), 'utf8');
    const own = join(folder, name);
    mkdirSync(own);
    const steps = firstSteps(page);
    expect(steps[0]).toBe('npm init -y');
    for (const step of steps) {
      const packages = installs(step);
      if (packages === undefined) await succeed('sh', ['-c', step], own);
      // The test runner is the one of this repository.
      for (const wanted of packages ?? [])
        expect([wanted, wanted === 'vitest' || existsSync(join(project, 'node_modules', wanted))]).toEqual([
          wanted,
          true,
        ]);
    }
    // `npm init` made the package.json; the page shows that of a package to publish, further on.
    const blocks = [...page.matchAll(/^```\w+ file=(\S+)\n([\s\S]*?)^```$/gm)];
    for (const [, file, text] of blocks.filter(([, file]) => file !== 'package.json')) {
      mkdirSync(dirname(join(own, file!)), { recursive: true });
      writeFileSync(join(own, file!), text!);
    }
    const commands = Array.from(page.matchAll(/`virtio-platform ((?:run|explain) \S+\.yaml)`/g), ([, words]) => words!);
    expect(commands).toContain(`run ${profile}`);
    for (const words of commands) {
      const { status, stderr } = await runProgram(command, words.split(' '), own);
      expect([words, status, stderr]).toEqual([words, 0, '']);
    }
  });
});
