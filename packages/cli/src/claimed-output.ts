import type { OutputStreams } from './terminal.ts';

/**
 * Takes the standard output for the command alone: what anything else in this process prints there, such as a plugin
 * with `console.log`, goes to the standard error from then on, so that a program that reads the output reads JSON.
 */
export function claimOutput(stdout: NodeJS.WriteStream, stderr: NodeJS.WriteStream): OutputStreams['stdout'] {
  const write = stdout.write.bind(stdout);
  stdout.write = stderr.write.bind(stderr);
  return {
    get isTTY() {
      return stdout.isTTY;
    },
    get columns() {
      return stdout.columns ?? givenColumns(process.env['COLUMNS']);
    },
    write: (text, done) => write(text, done),
  };
}

/** The columns that people ask for where the output is no terminal, as with `COLUMNS=200 ... | less -S`. */
function givenColumns(text: string | undefined): number | undefined {
  return text !== undefined && /^[1-9]\d{0,4}$/.test(text) ? Number(text) : undefined;
}
