import { basename } from 'node:path';
import { CodedError } from '@virtio-platform/core/errors';
import validateNpmName from 'validate-npm-package-name';

/** A kind of plugin that has a template. */
export const NEW_KINDS = ['platform', 'device', 'machine'] as const;
/** See {@link NEW_KINDS}. */
export type NewKind = (typeof NEW_KINDS)[number];

/** The names that one name gives. */
export interface PluginNames {
  /** Of the package, with its scope: `@mine/platform-tiny-board`. */
  readonly packageName: string;
  /** Of the folder: `platform-tiny-board`. */
  readonly folder: string;
  /** Of the plugin, as reports have it: `tiny-board`. */
  readonly name: string;
  /** At the beginning of its classes: `TinyBoard`. */
  readonly className: string;
}

/**
 * Checks the name of a new package by the rules of npm, and derives the other names. Throws {@link CodedError}
 * `ERR_NEW_NAME`.
 */
export function pluginNames(kind: NewKind, packageName: string): PluginNames {
  const { validForNewPackages, errors = [], warnings = [] } = validateNpmName(packageName);
  if (!validForNewPackages) throw nameError(packageName, [...errors, ...warnings].join('; '));
  const folder = basename(packageName);
  const words = folder.toLowerCase().replace(/[^a-z0-9]+/g, '-');
  const name = words.replace(new RegExp(`^(?:virtio-platform-)?(?:${kind}-)?`), '').replace(/^-|-$/g, '');
  if (!/^[a-z]/.test(name)) throw nameError(packageName, 'the name of a plugin begins with a letter');
  const className = name.replace(/(?:^|-)([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
  return { packageName, folder, name, className };
}

function nameError(name: string, why: string): CodedError {
  return new CodedError('ERR_NEW_NAME', `${JSON.stringify(name)} is no name for a package: ${why}`, {
    hint: 'a name is lower case, with hyphens: tiny-board, or with a scope: @mine/tiny-board',
  });
}
