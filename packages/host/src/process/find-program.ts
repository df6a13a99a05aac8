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
  ['qemu-system-aarch64', 'qemu-system-arm'],
]);

/** A program of util-linux, which every Debian has. It executes another program under its own process id. */
const SETPRIV = 'setpriv';

/**
 * The absolute path of an executable program: `program` is a path, relative to `folder`, or a name in PATH. `undefined`
 * where there is no such program.
 */
export function findProgram(program: string, folder: string): string | undefined {
  const candidates = program.includes('/')
    ? [resolve(folder, program)]
    : (process.env['PATH'] ?? '').split(delimiter).map((path) => join(path, program));
  return candidates.find(isExecutable);
}

/**
 * The requirement that `program` is installed; `undefined` where it is. Assumes that a program with a relative path is
 * installed, because the folder of the path is known only at boot.
 */
export function missingProgram(program: string): MissingRequirement | undefined {
  if (program.includes('/') && !isAbsolute(program)) return undefined;
  return findProgram(program, '/') === undefined
    ? { what: `the program ${program}`, fix: howToInstall(program) }
    : undefined;
}

/** How to install a program that was not found: a command, or what to change in the profile. */
export function howToInstall(program: string): string {
  const found = PACKAGES.get(program.slice(program.lastIndexOf('/') + 1));
  return found === undefined
    ? 'install it, or give its path in the machine section of the profile'
    : `apt-get install ${found} (Debian and Ubuntu)`;
}

/**
 * The command with a parent-death signal (prctl(2), PR_SET_PDEATHSIG): the kernel kills the program when the process
 * that started it ends, also where that process is killed itself. `folder` resolves a relative path. Returns `command`
 * unchanged where the program or setpriv is missing.
 */
export function withParentDeathSignal(command: readonly string[], folder: string): readonly string[] {
  const isPossible = findProgram(command[0]!, folder) !== undefined && findProgram(SETPRIV, folder) !== undefined;
  return isPossible ? [SETPRIV, '--pdeathsig', 'KILL', '--', ...command] : command;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
