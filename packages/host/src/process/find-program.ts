import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import type { MissingRequirement } from '@virtio-platform/core';

/** Debian packages of the programs that machines start. */
const PACKAGES: ReadonlyMap<string, string> = new Map([
  ['qemu-storage-daemon', 'qemu-system-common'],
  ['virtiofsd', 'qemu-system-common'],
  ['dpdk-testpmd', 'dpdk-dev librte-net-vhost23 librte-mempool-ring23'],
  ['qemu-system-x86_64', 'qemu-system-x86'],
  ['qemu-system-ppc64', 'qemu-system-ppc'],
]);

/**
 * The absolute path of a program that can be started: by its path, from `folder` on where that is relative, or by its name in PATH.
 * `undefined` where there is none.
 */
export function findProgram(program: string, folder: string): string | undefined {
  const candidates = program.includes('/')
    ? [resolve(folder, program)]
    : (process.env['PATH'] ?? '').split(delimiter).map((path) => join(path, program));
  return candidates.find(isExecutable);
}

/** Tells whether a program can be started. A path that is relative is taken as there: it is resolved only at boot. */
export function missingProgram(program: string): MissingRequirement | undefined {
  if (program.includes('/') && !isAbsolute(program)) return undefined;
  return findProgram(program, '/') === undefined
    ? { what: `the program ${program}`, fix: howToInstall(program) }
    : undefined;
}

/** What to do about a program that is not there. */
export function howToInstall(program: string): string {
  const found = PACKAGES.get(program.slice(program.lastIndexOf('/') + 1));
  return found === undefined
    ? 'install it, or give its path in the machine section of the profile'
    : `apt-get install ${found} (Debian and Ubuntu)`;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
