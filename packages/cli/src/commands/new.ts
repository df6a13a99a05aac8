import { resolve } from 'node:path';
import { printable } from '@virtio-platform/core';
import { displayPath } from '@virtio-platform/profile';
import { ExitStatus } from '../exit-status.ts';
import { pluginNames, type NewKind } from '../new-package/plugin-name.ts';
import { writePackage } from '../new-package/write-package.ts';
import type { Terminal } from '../terminal.ts';

/** The options of `new`. */
export interface NewCommandOptions {
  /** The folder of the package, where not that of its name. */
  readonly into: string | undefined;
  /** Of this command, which the package is made for. */
  readonly version: string;
}

/**
 * `new <kind> <name>`: writes a package that builds, passes its tests and runs in its profile, and says what to do
 * next. Throws {@link CodedError} `ERR_NEW_NAME` or `ERR_NEW_FOLDER`; then nothing was written.
 */
export function newCommand(
  terminal: Terminal,
  kind: NewKind,
  packageName: string,
  { into, version }: NewCommandOptions,
): ExitStatus {
  const names = pluginNames(kind, packageName);
  const folder = resolve(terminal.cwd, into ?? names.folder);
  const files = writePackage(kind, names, folder, version);
  const { bold, dim } = terminal.colors;
  const shown = printable(displayPath(folder, terminal.cwd));
  terminal.print(`${bold(names.packageName)}, a ${kind}, in ${shown}`);
  for (const file of files) terminal.print(dim(`  ${file}`));
  terminal.print('\nNext:');
  terminal.print(`  ${shown === '.' ? '' : `cd ${shown} && `}npm install`);
  terminal.print('  npm test');
  terminal.print(`  npx virtio-platform run profiles/${names.name}.yaml`);
  return ExitStatus.AsExpected;
}
