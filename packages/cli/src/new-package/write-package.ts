import { existsSync, readdirSync, readFileSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CodedError, hostErrorOf, messageOf } from '@virtio-platform/core';
import { makeFolder } from '../make-folder.ts';
import type { NewKind, PluginNames } from './plugin-name.ts';

/** The templates: packages that are complete, with the names of nothing in particular. */
const TEMPLATES = fileURLToPath(new URL('../../templates', import.meta.url));

/** Files that npm leaves out of a package, or takes for its own, where they have their real name. */
const RENAMED: Readonly<Record<string, string>> = { gitignore: '.gitignore', 'manifest.json': 'package.json' };

/** What was built or installed in a template, which only a clone has. */
const SKIPPED: readonly string[] = ['node_modules', 'dist', '.virtio-platform.schema.json'];

/** The version that templates give for our packages. */
const PLACEHOLDER = 'template-version';

/**
 * Writes the template of a kind to `folder`, under the given names, for this version of our packages. Returns the
 * files, relative to the folder. Throws {@link CodedError} `ERR_NEW_FOLDER` where something is there already, or
 * nothing can be written.
 */
export function writePackage(kind: NewKind, names: PluginNames, folder: string, version: string): string[] {
  checkFolder(folder);
  const template = join(TEMPLATES, kind);
  const files = templateFiles(template, '');
  try {
    for (const file of files) {
      const path = join(folder, targetOf(file, names));
      makeFolder(dirname(path));
      writeFileSync(path, renamed(readFileSync(join(template, file), 'utf8'), names));
    }
    nameSources(join(folder, 'package.json'), version);
  } catch (cause) {
    const message = `${folder} cannot be written: ${messageOf(cause)}`;
    throw new CodedError('ERR_NEW_FOLDER', message, { hint: hostErrorOf(cause)?.hint, cause });
  }
  return files.map((file) => targetOf(file, names));
}

function checkFolder(folder: string): void {
  if (!existsSync(folder)) return;
  const isFolder = statSync(folder).isDirectory();
  if (isFolder && readdirSync(folder).length === 0) return;
  throw new CodedError('ERR_NEW_FOLDER', `${folder} ${isFolder ? 'is not empty' : 'is a file'}`, {
    hint: 'choose another name, or another folder with --into',
  });
}

function templateFiles(template: string, below: string): string[] {
  return readdirSync(join(template, below), { withFileTypes: true }).flatMap((entry) => {
    if (SKIPPED.includes(entry.name)) return [];
    const path = join(below, entry.name);
    return entry.isDirectory() ? templateFiles(template, path) : [path];
  });
}

function targetOf(file: string, names: PluginNames): string {
  return RENAMED[file] ?? renamed(file, names);
}

/** Puts the names of the new package where the template has its own. */
function renamed(text: string, { packageName, name, className }: PluginNames): string {
  return text
    .replaceAll('template-package', packageName)
    .replaceAll('template-name', name)
    .replaceAll('TemplateName', className)
    .replaceAll('TEMPLATE_NAME', name.toUpperCase().replaceAll('-', '_'));
}

interface Manifest {
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
  overrides?: Record<string, string>;
}

/**
 * Names in the package.json of a new package where npm gets our packages: the release of this command, or, where this
 * command was installed from files that no registry has, the same files. npm then needs those of what our packages
 * depend on, too.
 */
function nameSources(manifestPath: string, version: string): void {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the template's own
  const manifest = JSON.parse(readFileSync(manifestPath, 'utf8')) as Manifest;
  const files = installedFiles(dirname(realpathSync(fileURLToPath(new URL('../../package.json', import.meta.url)))));
  for (const dependencies of [manifest.dependencies, manifest.devDependencies]) {
    for (const [name, given] of Object.entries(dependencies)) {
      if (given === PLACEHOLDER) dependencies[name] = files.get(name) ?? `^${version}`;
    }
  }
  const direct = { ...manifest.dependencies, ...manifest.devDependencies };
  const overrides = [...files].map(([name, file]) => [name, name in direct ? `$${name}` : file] as const);
  if (overrides.length > 0) manifest.overrides = Object.fromEntries(overrides);
  writeFileSync(manifestPath, `${JSON.stringify(manifest, undefined, 2)}\n`);
}

/**
 * Our packages that were installed from files together with this one, each with its `file:` and absolute path; none
 * where they come from a registry. npm keeps a record of that in `node_modules/.package-lock.json`.
 */
function installedFiles(own: string): Map<string, string> {
  const found = new Map<string, string>();
  const root = own.slice(0, own.lastIndexOf(join('/', 'node_modules', '@virtio-platform')));
  const record = join(root, 'node_modules', '.package-lock.json');
  if (!own.startsWith(join(root, 'node_modules')) || !existsSync(record)) return found;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- npm's own file; what is not as expected is passed over
  const { packages = {} } = JSON.parse(readFileSync(record, 'utf8')) as {
    packages?: Record<string, { resolved?: unknown } | undefined>;
  };
  for (const [path, entry] of Object.entries(packages)) {
    const name = /(?:^|\/)node_modules\/(@virtio-platform\/[^/]+)$/.exec(path)?.[1];
    const resolved = entry?.resolved;
    if (name === undefined || typeof resolved !== 'string' || !resolved.startsWith('file:')) continue;
    found.set(name, `file:${resolve(root, resolved.slice('file:'.length))}`);
  }
  return found;
}
