import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { describe, expect, inject, it } from 'vitest';
import { publicPackages, ROOT, type Manifest } from './public-packages.ts';

const packages = publicPackages();
const REPOSITORY = 'https://github.com/virtio-platform/virtio-platform';

function tarball({ name, version }: Manifest): Buffer {
  return readFileSync(join(inject('tarballs'), `${name.slice(1).replace('/', '-')}-${version}.tgz`));
}

/** A published package as it is installed. */
function installed(name: string): string {
  return join(inject('project'), 'node_modules', name);
}

/** All files of an installed package, relative to its folder, without what is installed below it. */
function filesOf(name: string): string[] {
  const folder = installed(name);
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) => !path.includes('node_modules'));
}

/** The targets of the links of a Markdown text, in all three forms, without those inside of code. */
function linksOf(text: string): string[] {
  const prose = text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, '');
  const inline = Array.from(prose.matchAll(/\]\(([^)\s]+)\)/g), ([, target]) => target!);
  const defined = Array.from(prose.matchAll(/^\[[^\]]+\]: (\S+)$/gm), ([, target]) => target!);
  return [...inline, ...defined];
}

/** Our packages are ES modules only, with exports: the ways of resolution that know neither are left out. */
function isLeftOut(resolution: string): boolean {
  return resolution === 'node10' || resolution === 'node16-cjs';
}

/** Whether a link leads somewhere: to a file of the tarball, or of this repository where it names that. */
function leads(target: string, page: string, files: ReadonlySet<string>): boolean {
  if (target.startsWith('#')) return true;
  const [path = ''] = target.split('#', 1);
  const own = /\/(?:blob|tree)\/main\/(.*)$/.exec(path.startsWith(REPOSITORY) ? path : '')?.[1];
  if (own !== undefined) return existsSync(join(ROOT, own));
  if (/^https?:/.test(path)) return !path.startsWith(REPOSITORY);
  return files.has(normalize(join(dirname(page), path)));
}

describe.each(packages)('the tarball of $manifest.name', ({ folder, manifest }) => {
  it('says where it comes from, what it needs and that it is public', () => {
    expect(manifest).toMatchObject({
      license: 'MIT',
      homepage: `${REPOSITORY}/tree/main/packages/${folder}#readme`,
      bugs: { url: `${REPOSITORY}/issues` },
      repository: { type: 'git', url: `git+${REPOSITORY}.git`, directory: `packages/${folder}` },
      engines: { node: '>=20.20.0' },
      publishConfig: { access: 'public' },
    });
    expect(manifest.description.length).toBeGreaterThan(20);
    expect(manifest.keywords).toContain('virtio-platform');
    expect(manifest.keywords.includes('virtio-platform-plugin')).toBe(
      /^(?:platform|machine|device)-(?!kit)/.test(folder),
    );
  });

  it('has the license, and nothing that only this repository needs', () => {
    const files = filesOf(manifest.name);
    expect(readFileSync(join(installed(manifest.name), 'LICENSE'), 'utf8')).toBe(
      readFileSync(join(ROOT, 'LICENSE'), 'utf8'),
    );
    expect(files.filter((path) => /\.tsbuildinfo$|^test\/|^src\/.*\.test\.ts$|^coverage/.test(path))).toEqual([]);
  });

  it('has pages whose links lead somewhere', () => {
    const files = new Set(filesOf(manifest.name));
    const pages = [...files].filter((path) => path.endsWith('.md') && !path.startsWith('templates/'));
    expect(pages).toContain('README.md');
    const dead = pages.flatMap((page) =>
      linksOf(readFileSync(join(installed(manifest.name), page), 'utf8'))
        .filter((target) => !leads(target, page, files))
        .map((target) => `${page}: ${target}`),
    );
    expect(dead).toEqual([]);
  });

  it('has a page that says how to install it, what its errors mean and why it has each dependency', () => {
    const page = readFileSync(join(installed(manifest.name), 'README.md'), 'utf8');
    expect(page).toMatch(new RegExp(`npm install (?:--save-dev )?${manifest.name}\\b`));
    expect(page.includes('errors.md') || folder === 'options').toBe(true);
    const outside = Object.keys(manifest.dependencies ?? {}).filter((name) => !name.startsWith('@virtio-platform/'));
    expect(outside.filter((name) => !page.includes(`\`${name}\``))).toEqual([]);
  });

  it('passes publint', async () => {
    const data = tarball(manifest);
    const { messages, pkg } = await publint({
      level: 'suggestion',
      pack: { tarball: data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength) as ArrayBuffer },
    });
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
  });

  it('has types that are right for ES modules', async () => {
    const result = await checkPackage(createPackageFromTarballData(tarball(manifest)));
    const problems = 'problems' in result ? result.problems : [{ kind: 'NoTypes' }];
    const ways = problems.map((problem) => ({
      ...problem,
      way: 'resolutionKind' in problem && problem.resolutionKind,
    }));
    expect(ways.filter(({ way }) => typeof way !== 'string' || !isLeftOut(way))).toEqual([]);
  });
});

describe('a published profile', () => {
  it('is each one that is shipped here', () => {
    const shipped = readdirSync(join(ROOT, 'profiles'), { recursive: true, encoding: 'utf8' });
    const packed = readdirSync(join(installed('@virtio-platform/cli'), 'profiles'), {
      recursive: true,
      encoding: 'utf8',
    });
    expect(packed.toSorted()).toEqual(shipped.toSorted());
  });

  it('names a schema that is where it says', () => {
    const profiles = filesOf('@virtio-platform/cli').filter((path) => /^profiles\/.*\.yaml$/.test(path));
    expect(profiles.length).toBeGreaterThan(50);
    for (const path of profiles) {
      const [, schema] =
        /^# yaml-language-server: \$schema=(\S+)$/m.exec(
          readFileSync(join(installed('@virtio-platform/cli'), path), 'utf8'),
        ) ?? [];
      expect([path, schema === undefined ? undefined : basename(schema)]).toEqual([
        path,
        '.virtio-platform.schema.json',
      ]);
      expect([path, existsSync(join(installed('@virtio-platform/cli'), dirname(path), schema!))]).toEqual([path, true]);
    }
  });
});

describe('links of a page', () => {
  it('are found in all forms, and dead ones are told from others', () => {
    const text = '[a](docs/a.md) `[b](b.md)` [c]\n\n```md\n[d](d.md)\n```\n\n[c]: ../core/README.md\n';
    expect(linksOf(text)).toEqual(['docs/a.md', '../core/README.md']);
    const files = new Set(['docs/a.md']);
    const leadsFromPage = (target: string): boolean => leads(target, 'README.md', files);
    expect(['docs/a.md', 'docs/a.md#b', '#c', `${REPOSITORY}/blob/main/LICENSE`].map(leadsFromPage)).not.toContain(
      false,
    );
    expect(['../core/README.md', 'b.md', `${REPOSITORY}/blob/main/nothing.md`].map(leadsFromPage)).not.toContain(true);
  });
});
