import { execFile } from 'node:child_process';
import { CodedError, messageOf } from '@virtio-platform/core/errors';

/** Bytes of output of a measured process: some thousand samples are far less. */
const MOST_OUTPUT = 16 * 1024 * 1024;
const MOST_ERROR_TEXT = 400;

/**
 * Runs a program to its end and returns what it printed. Rejects with {@link CodedError} `ERR_BENCH_PROCESS` where it
 * fails, and with the reason of `signal` once that is aborted; the program is ended then.
 */
export async function runProgram(
  program: string,
  parameters: readonly string[],
  signal?: AbortSignal,
): Promise<string> {
  signal?.throwIfAborted();
  return await new Promise((resolve, reject) => {
    const options = { encoding: 'utf8', maxBuffer: MOST_OUTPUT, ...(signal && { signal }) } as const;
    execFile(program, [...parameters], options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      if (signal?.aborted === true) return reject(signal.reason);
      const said = errorLine(stderr) ?? messageOf(error).split('\n', 1)[0]!;
      const hint = `see all of it: ${[program, ...parameters].map(quoted).join(' ')}`;
      reject(new CodedError('ERR_BENCH_PROCESS', `a measured process failed: ${said}`, { hint }));
    });
  });
}

/** The line of an error output that says what is wrong: of Node the one with the error, of others the first one. */
function errorLine(text: string): string | undefined {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  return (lines.find((line) => /^\w*Error\b.*: /.test(line)) ?? lines[0])?.slice(0, MOST_ERROR_TEXT);
}

/** A word of a command as a shell takes it. */
function quoted(word: string): string {
  return /^[\w./:=,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}
