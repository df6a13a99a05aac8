import { spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Runs a TypeScript program that leaves processes behind: evaluates `start`, statements that may `await`, in a process
 * of its own, which then exits. Returns the ids of the children that the process had when it exited.
 */
export async function runAndExit(start: string): Promise<number[]> {
  const program = `
    ${start}
    const { readFileSync } = await import('node:fs');
    console.log(readFileSync('/proc/self/task/' + process.pid + '/children', 'utf8'));
    process.exit(0);`;
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', '--conditions=@virtio-platform/source', '--input-type=module', '-e', program],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  let printed = '';
  child.stdout.on('data', (bytes: Buffer) => (printed += bytes.toString()));
  await once(child, 'close');
  return printed.trim().split(' ').map(Number);
}
