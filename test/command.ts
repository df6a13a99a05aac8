import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RunReport } from '@virtio-platform/runner';

export const ROOT: string = fileURLToPath(new URL('..', import.meta.url));

export interface CommandResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command as `npm start` does, in a process of its own. */
export function virtioPlatform(words: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<CommandResult> {
  return commandProcess(words, environment).finished;
}

/** The same, with the process at hand while it runs. */
export function commandProcess(
  words: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): { readonly process: ReturnType<typeof spawn>; readonly finished: Promise<CommandResult> } {
  const main = join(ROOT, 'packages/cli/src/main.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', '--conditions=@virtio-platform/source', main, ...words], {
    cwd: ROOT,
    env: { ...process.env, NODE_OPTIONS: '', ...environment },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => (stdout += String(chunk)));
  child.stderr.on('data', (chunk) => (stderr += String(chunk)));
  const finished = new Promise<CommandResult>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, stdout, stderr }));
  });
  return { process: child, finished };
}

/** The reports of a `run --json`. */
export function reportsOf(result: CommandResult): RunReport[] {
  return JSON.parse(result.stdout) as RunReport[];
}
