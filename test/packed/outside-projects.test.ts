import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest';
import { tarballsIn } from './global-setup.ts';
import { npmInstall, runProgram, succeed } from './program.ts';
import { ROOT } from './public-packages.ts';

const OUTSIDE = join(ROOT, 'test', 'outside');

/** The projects of outside authors: every folder there that has a package.json. */
const projects = (existsSync(OUTSIDE) ? readdirSync(OUTSIDE) : []).filter((name) =>
  existsSync(join(OUTSIDE, name, 'package.json')),
);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(inject('project'), '..', 'outside-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Whether a file of a project is its author's, and not installed or built. */
function isSource(path: string): boolean {
  return !/\/(?:node_modules|dist)$/.test(path);
}

/** What a project does once its packages are installed: its tests, and its profiles. */
async function expectWorks(own: string): Promise<void> {
  // In place of what its package.json says of our packages, which no registry has yet.
  await npmInstall(own, ['--no-save', ...tarballsIn(inject('tarballs'))]);
  await succeed('npx', ['vitest', 'run'], own);
  const profiles = existsSync(join(own, 'profiles')) ? readdirSync(join(own, 'profiles')) : [];
  const files = profiles.filter((name) => name.endsWith('.yaml')).map((name) => join('profiles', name));
  if (files.length === 0) return;
  const { status, stdout, stderr } = await runProgram('npx', ['virtio-platform', 'run', ...files], own);
  expect([status, stderr, stdout]).toEqual([0, '', expect.stringContaining('as expected')]);
}

describe('the project of an outside author', () => {
  it.for(projects)('is installed from the tarballs, passes its tests and runs its profiles: %s', async (name) => {
    const own = join(folder, name);
    cpSync(join(OUTSIDE, name), own, { recursive: true, filter: isSource });
    await expectWorks(own);
  });

  it('fails here where its tests fail', async () => {
    const own = join(folder, 'wrong');
    mkdirSync(own);
    const manifest = { name: 'wrong', type: 'module', devDependencies: { vitest: '4.1.12' } };
    writeFileSync(join(own, 'package.json'), JSON.stringify(manifest));
    writeFileSync(
      join(own, 'wrong.test.js'),
      `import { GuestMemory } from '@virtio-platform/core/memory';
import { expect, it } from 'vitest';
it('fails', () => expect(new GuestMemory(new SharedArrayBuffer(4096)).size).toBe(1));
`,
    );
    await expect(expectWorks(own)).rejects.toThrow(/expected 4096 to be 1/);
  });
});
