import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { runCommandLine } from '@virtio-platform/cli';
import type { RunReport } from '@virtio-platform/runner';

export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url));

export interface CommandResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command as it is published, built, in a process of its own. */
export function virtioPlatform(words: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<CommandResult> {
  return commandProcess(words, environment).finished;
}

/** Runs the command in this process: for what does not depend on one of its own. */
export async function commandHere(
  words: readonly string[],
  cwd: string = ROOT,
  columns?: number,
): Promise<CommandResult> {
  const [stdout, stderr] = [new CollectedText(), new CollectedText()];
  const status = await runCommandLine(words, {
    stdout: columns === undefined ? stdout : Object.assign(stdout, { columns }),
    stderr,
    cwd,
  });
  return { status, stdout: stdout.text, stderr: stderr.text };
}

/** A stream that keeps what is written to it. */
export class CollectedText extends Writable {
  text = '';

  override _write(chunk: unknown, _encoding: string, done: () => void): void {
    this.text += String(chunk);
    done();
  }
}

/** Runs the command in a process of its own, which is at hand while it runs. */
export function commandProcess(
  words: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): { readonly process: ReturnType<typeof spawn>; readonly finished: Promise<CommandResult> } {
  const child = spawn(process.execPath, [join(ROOT, 'packages/cli/dist/main.js'), ...words], {
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

/** Whether a line of output only says that a run goes on: there is one where this computer is slow. */
export function isProgress(line: string): boolean {
  return /^(?:run \d+ of \d+, |checking profile \d)/.test(line);
}

/** The output without such lines. */
export function withoutProgress(text: string): string {
  return text
    .split('\n')
    .filter((line) => !isProgress(line))
    .join('\n');
}

/** The reports of a `run --json`. */
export function reportsOf(result: CommandResult): RunReport[] {
  return JSON.parse(result.stdout) as RunReport[];
}
