import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { tarballsIn } from './global-setup.ts';
import { npmInstall, runProgram, succeed } from './program.ts';
import { ROOT } from './public-packages.ts';

const OUTSIDE = join(ROOT, 'test', 'outside');

/** The projects of outside authors: every folder there that has a package.json. */
const projects = readdirSync(OUTSIDE).filter((name) => existsSync(join(OUTSIDE, name, 'package.json')));

/** One workspace of all projects and of one that fails, so that all are installed at once. */
let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(inject('project'), '..', 'outside-'));
  for (const name of projects) cpSync(join(OUTSIDE, name), join(folder, name), { recursive: true, filter: isSource });
  writeWrongProject(join(folder, 'wrong'));
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, workspaces: ['*'] }));
  // In place of what the projects say of our packages, which no registry has yet.
  await npmInstall(folder, ['--no-save', ...tarballsIn(inject('tarballs'))]);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Whether a file of a project is its author's, and not installed or built. */
function isSource(path: string): boolean {
  return !/\/(?:node_modules|dist)$/.test(path);
}

/** A project like the others, whose test fails. */
function writeWrongProject(own: string): void {
  mkdirSync(own);
  const manifest = {
    name: 'wrong',
    type: 'module',
    scripts: { test: 'vitest run' },
    devDependencies: { '@virtio-platform/core': '*', vitest: '4.1.12' },
  };
  writeFileSync(join(own, 'package.json'), JSON.stringify(manifest));
  writeFileSync(
    join(own, 'wrong.test.js'),
    `import { GuestMemory } from '@virtio-platform/core/memory';
import { expect, it } from 'vitest';
it('fails', () => expect(new GuestMemory(new SharedArrayBuffer(4096)).size).toBe(1));
`,
  );
}

describe('the project of an outside author', () => {
  it('exists', () => {
    expect(projects).not.toEqual([]);
  });

  it.for(projects)('is installed from the tarballs, passes its tests and runs its profiles: %s', async (name) => {
    const own = join(folder, name);
    await succeed('npm', ['test'], own);
    const { status, stdout, stderr } = await runProgram('npm', ['--silent', 'start'], own);
    expect([status, stderr, stdout]).toEqual([0, '', expect.stringContaining('as expected')]);
  });

  it('fails here where its tests fail', async () => {
    await expect(succeed('npm', ['test'], join(folder, 'wrong'))).rejects.toThrow(/expected 4096 to be 1/);
  });
});
