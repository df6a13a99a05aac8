import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';

const MAIN = join(ROOT, 'packages/cli/dist/main.js');
const STEP = `'${process.execPath}' '${MAIN}' step profiles/pseries-identity.yaml --requests 1`;
/** What a terminal is told when a screen begins, and when it ends. */
const ENTER = '\u001B[?1049h';
const LEAVE = '\u001B[0m\u001B[?25h\u001B[?1049l';
const hasScript = spawnSync('script', ['--version']).status === 0 || process.env['CI'] !== undefined;

interface Session {
  /** Everything that was written to the terminal. */
  readonly text: string;
  /** The settings of the terminal before and after, as `stty -g` prints them. */
  readonly settings: readonly string[];
  readonly status: number;
}

/** Does something with the terminal and the process once `sign` was written to it. */
interface Reaction {
  readonly sign: string | RegExp;
  readonly keys?: string;
  readonly signal?: NodeJS.Signals;
  /** The window gets this size, of which the kernel tells the process. */
  readonly window?: { readonly columns: number; readonly rows: number };
}

/** Runs the command on a real terminal, which `script` of util-linux opens. */
function onTerminal(command: string, reactions: readonly Reaction[], term = 'xterm'): Promise<Session> {
  const inner = `stty cols 90 rows 30; echo tty=$(tty); stty -g; sh -c 'echo pid=$$; exec ${command.replaceAll("'", '')}'; echo status=$?; stty -g`;
  const env = { ...process.env, TERM: term, NODE_OPTIONS: '', NO_COLOR: '1' };
  const child = spawn('script', ['-qfec', inner, '/dev/null'], { cwd: ROOT, env });
  const waiting = [...reactions];
  let text = '';
  let from = 0;
  const react = (): void => {
    const [next] = waiting;
    const at =
      next === undefined ? -1 : text.slice(from).search(next.sign instanceof RegExp ? next.sign : escaped(next.sign));
    if (next === undefined || at < 0) return;
    from += at + 1;
    waiting.shift();
    if (next.keys !== undefined) child.stdin.write(next.keys);
    if (next.signal !== undefined) process.kill(Number(/pid=(\d+)/.exec(text)![1]), next.signal);
    if (next.window !== undefined) {
      const { columns, rows } = next.window;
      const [, tty] = /^tty=(\S+)/m.exec(text)!;
      execFileSync('stty', ['-F', tty!, 'cols', String(columns), 'rows', String(rows)]);
    }
    react();
  };
  child.stdout.on('data', (chunk) => {
    text += String(chunk);
    react();
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => {
      const settings = [...text.matchAll(/^[0-9a-f]+(:[0-9a-f]+){5,}/gm)].map(([setting]) => setting);
      resolve({ text, settings, status: Number(/status=(\d+)/.exec(text)?.[1]) });
    });
  });
}

function escaped(text: string): RegExp {
  return new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
}

describe.skipIf(!hasScript)('step on a terminal', () => {
  it('goes by key, on a screen of its own, and leaves the terminal as it was', async () => {
    const { text, settings, status } = await onTerminal(STEP, [
      { sign: 'step 1 of', keys: '\u001B[C' },
      { sign: 'step 2 of', keys: 'j' },
      { sign: 'step 3 of', keys: '/publish\r' },
      { sign: 'The driver writes avail.idx = 1', keys: 'b' },
      { sign: 'following #1', keys: '?' },
      { sign: 'the one before', keys: 'x' },
      { sign: 'following #1', keys: 'q' },
    ]);
    expect(status).toBe(0);
    expect(text.split(ENTER)).toHaveLength(2);
    expect(text.split(LEAVE)).toHaveLength(2);
    expect(text.indexOf(LEAVE)).toBeGreaterThan(text.indexOf(ENTER));
    expect(settings).toHaveLength(2);
    expect(settings[1]).toBe(settings[0]);
    // What remains when the screen is gone.
    expect(text.slice(text.indexOf(LEAVE))).toContain('completed');
  });

  it('draws itself anew in a window of another size, narrower, wider, and too small for anything', async () => {
    const { text, status } = await onTerminal(STEP, [
      { sign: 'step 1 of', window: { columns: 60, rows: 20 } },
      { sign: 'step 1 of', window: { columns: 200, rows: 40 } },
      { sign: 'step 1 of', window: { columns: 10, rows: 3 } },
      { sign: /step/, window: { columns: 100, rows: 30 } },
      { sign: 'step 1 of', keys: 'q' },
    ]);
    expect(status).toBe(0);
    // Below what happens is a line as wide as the window.
    const widths = Array.from(text.slice(text.indexOf(ENTER)).matchAll(/-{8,}/g), ([line]) => line.length);
    // Whether a line is drawn in the window that is too small depends on when the next size is told.
    expect([...new Set(widths)].filter((width) => width !== 10)).toEqual([90, 60, 200, 100]);
  });

  it.each([
    ['Ctrl-C', { sign: 'step 1 of', keys: '\u0003' }, 0],
    ['SIGTERM', { sign: 'step 1 of', signal: 'SIGTERM' as const }, 143],
  ])('leaves the terminal as it was after %s', async (_, reaction, expected) => {
    const { text, settings, status } = await onTerminal(STEP, [reaction]);
    expect(status).toBe(expected);
    expect(text.split(LEAVE)).toHaveLength(2);
    expect(settings).toHaveLength(2);
    expect(settings[1]).toBe(settings[0]);
  });

  it('prints the steps on a terminal that cannot move its cursor', async () => {
    const { text, status } = await onTerminal(`${STEP} --at 3`, [], 'dumb');
    expect(status).toBe(0);
    expect(text).not.toContain('\u001B');
    expect(text).toMatch(/^step 3 of/m);
  });
});
