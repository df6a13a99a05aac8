import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';

const OUTSIDE = fileURLToPath(new URL('.', import.meta.url));

/**
 * A project that an author outside of this repository would have: each folder here. Its tests and its profiles run in
 * `test/packed/outside-projects.test.ts`, where it is installed.
 */
const projects = readdirSync(OUTSIDE, { withFileTypes: true }).filter((entry) => entry.isDirectory());

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly exports: string;
}

function readManifest(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
}

/** The files of a folder that end as given, by their paths. */
function filesBelow(folder: string, ending: RegExp): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : filesBelow(path, ending);
    return ending.test(entry.name) ? [path] : [];
  });
}

/** What a module imports, without the parts below a package. */
function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  return [...text.matchAll(/^(?:import|export)[^;]*?from '([^']+)'|^import '([^']+)'/gm)].map(
    ([, from, alone]) => (from ?? alone)!,
  );
}

function packageOf(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
}

describe.each(projects.map(({ name }) => [name, join(OUTSIDE, name)] as const))('%s', (_name, folder) => {
  const manifest = readManifest(folder);

  it('imports nothing but its own files and what its manifest names', () => {
    const dependencies = Object.keys(manifest.dependencies ?? {});
    const development = [...dependencies, ...Object.keys(manifest.devDependencies ?? {})];
    for (const file of filesBelow(folder, /\.js$/)) {
      const isSource = file.startsWith(join(folder, 'src'));
      for (const specifier of importsOf(file)) {
        if (specifier.startsWith('node:')) continue;
        if (specifier.startsWith('.')) expect(join(file, '..', specifier).startsWith(folder)).toBe(true);
        else expect(isSource ? dependencies : development).toContain(packageOf(specifier));
      }
    }
  });

  it('pins what it develops with as this repository does, and takes any version of our packages', () => {
    const root = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest;
    const versions = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });
    const ours = versions.filter(([name]) => name.startsWith('@virtio-platform/'));
    expect(new Set(ours.map(([, version]) => version))).toEqual(new Set(['*']));
    expect(manifest.devDependencies?.['vitest']).toBe(root.devDependencies?.['vitest']);
  });
});
