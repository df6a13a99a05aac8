import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CodedError, hostErrorOf, messageOf } from '@virtio-platform/core';
import type { NewKind, PluginNames } from './plugin-name.ts';

/** The templates: packages that are complete, with the names of nothing in particular. */
const TEMPLATES = fileURLToPath(new URL('../../templates', import.meta.url));

/** Files that npm leaves out of a package where they have their real name. */
const RENAMED: Readonly<Record<string, string>> = { gitignore: '.gitignore' };

/** What was built or installed in a template, which only a clone has. */
const SKIPPED: readonly string[] = ['node_modules', 'dist', '.virtio-platform.schema.json'];

/**
 * Writes the template of a kind to `folder`, under the given names. Returns the files, relative to the folder. Throws
 * {@link CodedError} `ERR_NEW_FOLDER` where something is there already, or nothing can be written.
 */
export function writeTemplate(kind: NewKind, names: PluginNames, folder: string): string[] {
  checkFolder(folder);
  const template = join(TEMPLATES, kind);
  const files = templateFiles(template, '');
  try {
    for (const file of files) {
      const path = join(folder, targetOf(file, names));
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, renamed(readFileSync(join(template, file), 'utf8'), names));
    }
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
