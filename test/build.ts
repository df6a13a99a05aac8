import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/**
 * Compiles every package, since tests start the command and the benchmark as they are published: a process that runs
 * from source takes twice as long to start. What is compiled already is not compiled again. Throws where a source has
 * an error.
 */
export default function build(): void {
  const packages = readdirSync(join(ROOT, 'packages')).map((name) => join('packages', name));
  execFileSync('npx', ['tsc', '-b', ...packages], { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });
}
