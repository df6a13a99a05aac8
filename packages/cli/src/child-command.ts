import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/**
 * Starts this command in a process of its own, which ends with this one where it calls {@link endWithParent}. Its
 * output and its error output are pipes.
 */
export function startCommand(words: readonly string[], cwd: string): ChildProcess {
  const isSource = import.meta.url.endsWith('.ts');
  const main = fileURLToPath(new URL(isSource ? './main.ts' : './main.js', import.meta.url));
  const loader = isSource ? ['--import', import.meta.resolve('tsx'), '--conditions=@virtio-platform/source'] : [];
  return fork(main, [...words], { cwd, execArgv: loader, stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
}

/** In a process of {@link startCommand}: ends it with the one that started it. Returns whether it is one. */
export function endWithParent(): boolean {
  if (process.send === undefined) return false;
  // A signal, which runs are interrupted by: while one is made, nothing may exit.
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  return true;
}
