import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';

/**
 * Reads the id of a process group, waits for the end of its input, which is the end of the process that has the other
 * end, and kills the group.
 */
const GUARD = 'read -r group && { read -r line; kill -s KILL -- "-$group"; }';
/** Writes the id of its own process group to the guard and becomes the program. */
const MEMBER = 'echo $$ >&0; exec "$@" </dev/null';

/**
 * Starts a shell that kills a process group when this process ends, however it ends: the kernel then closes the pipe
 * that the shell reads. The group is that of a {@link guardedCommand}. {@link endGroupGuard} ends the shell when the
 * group has ended. Never throws.
 */
export function startGroupGuard(): ChildProcess {
  // A group of its own, so that no signal to the group of this process reaches it.
  const guard = spawn('sh', ['-c', GUARD], { cwd: '/', detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  guard.on('error', () => {});
  guard.stdin.on('error', () => {});
  guard.unref();
  return guard;
}

/**
 * The command that tells a guard its process group and then executes `command` under the same process id. Its standard
 * input is that of the guard. The guard has the group before the first instruction of the program: this process may end
 * at any time.
 */
export function guardedCommand(command: readonly string[]): readonly string[] {
  return ['sh', '-c', MEMBER, 'sh', ...command];
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
