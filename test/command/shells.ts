import { execFileSync, spawnSync } from 'node:child_process';

/** Whether a program can be run here; where CI runs the tests, it has to be. */
export function isHere(program: string): boolean {
  return process.env['CI'] !== undefined || spawnSync(program, ['--version']).status === 0;
}

/** Runs a script and gives its lines. */
export function linesOf(program: string, words: readonly string[], input = ''): string[] {
  const text = execFileSync(program, [...words], { input, encoding: 'utf8', timeout: 60_000, stdio: 'pipe' });
  return text.trimEnd().split('\n');
}
