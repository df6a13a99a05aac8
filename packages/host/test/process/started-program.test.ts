import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { withParentDeathSignal, findProgram } from '../../src/process/find-program.ts';
import { StartedProgram } from '../../src/process/started-program.ts';

const MODULE = fileURLToPath(new URL('../../src/process/started-program.ts', import.meta.url));

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-test-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function isRunning(pid: number): boolean {
  try {
    // A zombie (`Z`) has ended and was not waited for.
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

describe('findProgram', () => {
  it('finds a program by name, by path, and by a path relative to a folder', () => {
    writeFileSync(join(folder, 'mine'), '', { mode: 0o755 });
    writeFileSync(join(folder, 'data'), '');
    expect(findProgram('sh', folder)).toMatch(/^\/.*\/sh$/);
    expect(findProgram('./mine', folder)).toBe(join(folder, 'mine'));
    expect(findProgram(join(folder, 'mine'), '/')).toBe(join(folder, 'mine'));
    expect(findProgram('./data', folder)).toBeUndefined();
    expect(findProgram('mine', folder)).toBeUndefined();
    expect(findProgram(folder, '/')).toBeUndefined();
  });
});

describe('withParentDeathSignal', () => {
  it('leaves the command of a missing program unchanged, so that its start reports it', () => {
    expect(withParentDeathSignal(['./none', 'x'], folder)).toEqual(['./none', 'x']);
  });
});

describe('StartedProgram', () => {
  const options = {
    role: 'program',
    hint: 'none',
    abandon: () => {},
    get folder() {
      return folder;
    },
    get errorFile() {
      return join(folder, 'stderr');
    },
  };

  it('runs a program with its arguments, and ends it', async () => {
    const program = await StartedProgram.start(
      ['sh', '-c', 'echo "$0 $1" >&2; exec sleep 60', 'a word', '--help'],
      options,
    );
    await expect.poll(() => program.stderrTail()).toBe('a word --help');
    expect(program.ending).toBeUndefined();
    await program.end();
    expect(program.ending).toBe('SIGTERM');
    expect(withParentDeathSignal(['sh', 'x'], folder)).toEqual(['setpriv', '--pdeathsig', 'KILL', '--', 'sh', 'x']);
  });

  it('reports how a program ended', async () => {
    const program = await StartedProgram.start(['sh', '-c', 'exit 7'], options);
    await expect.poll(() => program.ending).toBe('status 7');
    await program.end();
  });

  it.each([
    ['none-such', 'ERR_MACHINE_MISSING', /none-such is not installed/],
    ['./data', 'ERR_MACHINE_START', /cannot be started.*EACCES/],
  ])('reports that %s cannot be started', async (name, code, message) => {
    writeFileSync(join(folder, 'data'), '');
    await expect(StartedProgram.start([name], options)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });

  it.each([
    ['a shell that waits', 'sleep 60 & echo $! >pid; wait'],
    ['a shell that ignores the signal', "trap '' TERM; sleep 60 & echo $! >pid; while :; do sleep 1; done"],
    ['a program of a program', 'sh -c "sleep 60 & echo \\$! >pid; wait" & wait'],
  ])('S4 ends the process group of %s', async (_, script) => {
    const program = await StartedProgram.start(['sh', '-c', script], options);
    const pid = await pidIn(join(folder, 'pid'));
    expect(isRunning(pid)).toBe(true);
    await program.end();
    await expect.poll(() => isRunning(pid)).toBe(false);
  });

  it('S4 ends what a program leaves that ended by itself', async () => {
    const program = await StartedProgram.start(['sh', '-c', 'sleep 60 & echo $! >pid; exit 3'], options);
    const pid = await pidIn(join(folder, 'pid'));
    await expect.poll(() => isRunning(pid)).toBe(false);
    expect(program.ending).toBe('status 3');
    await program.end();
  });

  it.each(['SIGKILL', 'SIGTERM'] as const)('S4 ends the process group where this process gets %s', async (signal) => {
    const starter = startStarter('sleep 60 & echo $! >pid; wait', '');
    const pid = await pidIn(join(folder, 'pid'));
    expect(isRunning(pid)).toBe(true);
    starter.kill(signal);
    await once(starter, 'exit');
    await expect.poll(() => isRunning(pid), { timeout: 5000 }).toBe(false);
  });

  it('S4 ends the process group where this process is killed by the first instruction of the program', async () => {
    const starter = startStarter('sleep 60 & echo $! >pid; kill -s KILL $PPID; wait', '');
    const exit = once(starter, 'exit');
    const pid = await pidIn(join(folder, 'pid'));
    await exit;
    await expect.poll(() => isRunning(pid), { timeout: 5000 }).toBe(false);
  });

  it('S4 ends the process group where this process exits', async () => {
    const starter = startStarter('sleep 60 & echo $! >pid; wait', 'setTimeout(() => process.exit(0), 500);');
    const pid = await pidIn(join(folder, 'pid'));
    await once(starter, 'exit');
    await expect.poll(() => isRunning(pid), { timeout: 5000 }).toBe(false);
  });

  it('T9 says that the file for the error output cannot be opened', async () => {
    const errorFile = join(folder, 'none', 'stderr');
    await expect(StartedProgram.start(['true'], { ...options, folder, errorFile })).rejects.toMatchObject({
      code: 'ERR_SYSCALL',
      errno: 'ENOENT',
    });
  });

  it('is ended by the kernel where the process that started it is killed', async () => {
    const starter = startStarter('echo $$ >pid; exec sleep 60', '');
    const pid = await pidIn(join(folder, 'pid'));
    expect(isRunning(pid)).toBe(true);
    starter.kill('SIGKILL');
    await once(starter, 'exit');
    await expect.poll(() => isRunning(pid), { timeout: 5000 }).toBe(false);
  });
});

/** Starts a process that starts a shell with `shell`, then runs `script` and waits. */
function startStarter(shell: string, script: string): ChildProcess {
  const path = join(folder, 'starter.mjs');
  writeFileSync(
    path,
    `const { StartedProgram } = await import(${JSON.stringify(MODULE)});
await StartedProgram.start(['sh', '-c', ${JSON.stringify(shell)}], {
  role: 'program',
  hint: '',
  folder: ${JSON.stringify(folder)},
  errorFile: ${JSON.stringify(join(folder, 'stderr'))},
  abandon() {},
});
${script}
setInterval(() => {}, 1000);
`,
  );
  return spawn(process.execPath, ['--import', 'tsx', '--conditions=@virtio-platform/source', path], {
    cwd: fileURLToPath(new URL('../../../..', import.meta.url)),
    stdio: 'inherit',
  });
}

/** The process id that a shell writes to a file. */
async function pidIn(file: string): Promise<number> {
  const read = (): string => (existsSync(file) ? readFileSync(file, 'utf8') : '');
  await expect.poll(read, { timeout: 20_000 }).toMatch(/\d+\n/);
  return Number(read());
}
