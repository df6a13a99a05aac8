import { spawn } from 'node:child_process';

export interface ProgramResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The environment of a user: nothing in it comes from the test runner or from this repository. */
function userEnvironment(): NodeJS.ProcessEnv {
  const own = /^(?:npm_|NODE_OPTIONS$|NODE_ENV$|NODE_PATH$|VITEST|TEST$|INIT_CWD$|FORCE_COLOR$)/;
  const others = Object.entries(process.env).filter(([name]) => !own.test(name));
  return { ...Object.fromEntries(others), NO_COLOR: '1' };
}

/** Runs a program in a folder, without a terminal, and returns what it printed. */
export function runProgram(program: string, words: readonly string[], cwd: string): Promise<ProgramResult> {
  const child = spawn(program, words, { cwd, env: userEnvironment(), stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => (stdout += String(chunk)));
  child.stderr.on('data', (chunk) => (stderr += String(chunk)));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, stdout, stderr }));
  });
}

/** The same of a program that has to succeed. Throws an error with all that it printed. */
export async function succeed(program: string, words: readonly string[], cwd: string): Promise<string> {
  const { status, stdout, stderr } = await runProgram(program, words, cwd);
  if (status === 0) return stdout;
  throw new Error(`${program} ${words.join(' ')} in ${cwd}: status ${status}\n${stdout}\n${stderr}`);
}

/** Installs in a folder: what its package.json names, and `packages`, such as tarballs. */
export async function npmInstall(cwd: string, packages: readonly string[]): Promise<void> {
  await succeed('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', ...packages], cwd);
}
