import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/** Waits for the end of its input, which is the end of the process that has the other end, and kills a group. */
const SCRIPT = 'read -r line; kill -s KILL -- "-$1"';

/**
 * Starts a shell that kills the process group `group` when this process ends, however it ends: the kernel then closes
 * the pipe that the shell reads. {@link endGroupGuard} ends the shell when the group has ended. Never throws.
 */
export function startGroupGuard(group: number): ChildProcess {
  // A group of its own, so that no signal to the group of this process reaches it.
  const guard = spawn('sh', ['-c', SCRIPT, 'sh', String(group)], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  guard.on('error', () => {});
  guard.stdin.on('error', () => {});
  guard.unref();
  return guard;
}

/** Ends a guard and waits until it is gone. Never throws. */
export async function endGroupGuard(guard: ChildProcess): Promise<void> {
  if (guard.pid === undefined || guard.exitCode !== null || guard.signalCode !== null) return;
  // What is waited for keeps the event loop: without it the loop may end before the guard.
  guard.ref();
  const close = once(guard, 'close');
  guard.kill('SIGKILL');
  await close.catch(() => {});
}
