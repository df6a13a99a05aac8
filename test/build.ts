import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/**
 * Compiles the command and the benchmark, which tests start as they are published: a process that runs from source
 * takes twice as long to start. What is compiled already is not compiled again. Throws where a source has an error.
 */
export default function build(): void {
  execFileSync('npx', ['tsc', '-b', 'packages/cli', 'packages/bench'], {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}
