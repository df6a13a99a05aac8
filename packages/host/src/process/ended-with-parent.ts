import { findProgram } from './find-program.ts';

/** Of util-linux, which every Debian has. It becomes the program that it starts, so that the process id stays. */
const SETPRIV = 'setpriv';

/**
 * Words that start the same program so that the kernel ends it with the process that started it, however that ends: nobody else could where
 * it is killed. `folder` is where a relative path is found. Where that cannot be had the words stay as they are.
 */
export function endedWithParent(command: readonly string[], folder: string): readonly string[] {
  const isThere = findProgram(command[0]!, folder) !== undefined && findProgram(SETPRIV, folder) !== undefined;
  return isThere ? [SETPRIV, '--pdeathsig', 'KILL', '--', ...command] : command;
}
