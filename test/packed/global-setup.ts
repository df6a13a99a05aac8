import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import build from '../build.ts';
import { npmInstall, succeed } from './program.ts';
import { publicPackages, ROOT } from './public-packages.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** A folder with the tarball of each published package, and nothing else. */
    tarballs: string;
    /** A project of a user, in which all of them are installed. */
    project: string;
  }
}

/** What an author installs beside our packages, in the versions that the cache of npm has already. */
export function toolVersions(...names: readonly string[]): string[] {
  const { devDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    devDependencies: Record<string, string>;
  };
  return names.map((name) => `${name}@${devDependencies[name]!}`);
}

/** The tarballs in a folder, as `npm install` takes them. */
export function tarballsIn(folder: string): string[] {
  return readdirSync(folder).map((name) => join(folder, name));
}

/**
 * Packs every published package once for all tests of this folder, and installs all of them in an empty directory. The
 * setups of projects run one after the other in no certain order, so this one compiles what it packs.
 */
export default async function setup(project: TestProject): Promise<() => void> {
  build();
  const root = mkdtempSync(join(tmpdir(), 'virtio-platform-packed-'));
  const tarballs = join(root, 'tarballs');
  const user = join(root, 'project');
  mkdirSync(tarballs);
  mkdirSync(user);
  try {
    await pack(join(root, 'staged'), tarballs);
    await succeed('npm', ['init', '-y'], user);
    await npmInstall(user, [...tarballsIn(tarballs), ...toolVersions('typescript', 'tsx', '@types/node')]);
  } catch (error) {
    rmSync(root, { recursive: true });
    throw error;
  }
  project.provide('tarballs', tarballs);
  project.provide('project', user);
  return () => rmSync(root, { recursive: true });
}

/**
 * Packs copies of the packages as `test/build.ts` compiled them. Their own `prepack` compiles again from nothing, which
 * would take the build from under the other tests; what else it does is done here by the same script.
 */
async function pack(staged: string, tarballs: string): Promise<void> {
  mkdirSync(join(staged, 'packages'), { recursive: true });
  for (const name of ['profiles', '.virtio-platform.schema.json'])
    cpSync(join(ROOT, name), join(staged, name), { recursive: true });
  const folders = publicPackages().map(({ folder }) => join('packages', folder));
  for (const folder of folders) {
    const filter = (path: string): boolean => !/^\/(?:node_modules|test)$/.test(path.slice(join(ROOT, folder).length));
    cpSync(join(ROOT, folder), join(staged, folder), { recursive: true, filter });
  }
  await succeed('npm', ['run', 'bring-profiles'], join(staged, 'packages/cli'));
  // The copy has no dependencies beside it, so the command that writes its manual page is this one.
  mkdirSync(join(staged, 'packages/cli/man'));
  const manual = await succeed(process.execPath, ['packages/cli/bin/virtio-platform.js', 'manual'], ROOT);
  writeFileSync(join(staged, 'packages/cli/man/virtio-platform.1'), manual);
  const words = ['pack', '--ignore-scripts', '--pack-destination', tarballs, ...folders.map((name) => `./${name}`)];
  await succeed('npm', words, staged);
}
