import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { commandProcess, type CommandResult } from '../command/command.ts';

/** The command `serve` in a process of its own. */
export interface ServedCommand {
  readonly socket: string;
  /** What it printed so far: an object for each line. */
  readonly events: () => readonly Readonly<Record<string, unknown>>[];
  /** Sends a signal and waits for its end. */
  readonly end: (signal?: NodeJS.Signals) => Promise<CommandResult>;
}

const START_MS = 30_000;

/**
 * Serves the device of a profile from a file in `folder`: strictly, unless other options are given. Throws, with what
 * it printed, where it does not listen.
 */
export async function serveProfile(
  folder: string,
  name: string,
  profile: object,
  options: readonly string[] = ['--strict=fail'],
): Promise<ServedCommand> {
  const [file, socket] = [join(folder, `${name}.yaml`), join(folder, `${name}.sock`)];
  writeFileSync(file, JSON.stringify(profile));
  const { process: child, finished } = commandProcess(['serve', file, '--socket', socket, ...options, '--json']);
  let output = '';
  child.stdout?.on('data', (chunk) => (output += String(chunk)));
  const end = async (signal: NodeJS.Signals = 'SIGINT'): Promise<CommandResult> => {
    child.kill(signal);
    return await finished;
  };
  for (const deadline = performance.now() + START_MS; !existsSync(socket); await setTimeout(20)) {
    if (child.exitCode === null && performance.now() < deadline) continue;
    const { stdout, stderr } = await end('SIGKILL');
    throw new Error(`serve does not listen: ${stdout}${stderr}`);
  }
  const events = (): Record<string, unknown>[] =>
    output
      .split('\n')
      .filter((line) => line !== '')
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- an object in each line
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  return { socket, events, end };
}
