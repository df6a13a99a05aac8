import { execFileSync, type ExecFileSyncOptions } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/**
 * Compiles every package, since tests start the command and the benchmark as they are published: a process that runs
 * from source takes twice as long to start. What is compiled already is not compiled again. Throws where a source has
 * an error.
 */
export default function build(): void {
  // A folder without a project holds what an earlier version of the tree compiled.
  const packages = readdirSync(join(ROOT, 'packages'))
    .map((name) => join('packages', name))
    .filter((folder) => existsSync(join(ROOT, folder, 'tsconfig.json')));
  const options: ExecFileSyncOptions = { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] };
  execFileSync('npx', ['tsc', '-b', ...packages], options);
  execFileSync(process.execPath, ['.build/bundle.mjs', '--changed', ...packages], options);
}
