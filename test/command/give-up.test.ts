import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Interruption, runCommandLine } from '@virtio-platform/cli';
import { ROOT } from './command.ts';
import { slowMachine } from './slow-machine.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('an interrupted command', () => {
  it('waits ten seconds for a run that does not end', () => expect(new Interruption().giveUpMs).toBe(10_000));

  it('then keeps what has ended, and goes', async () => {
    const profile = (name: string, requests: number): string => {
      const path = join(folder, `${name}.yaml`);
      const base = `extends: ${join(ROOT, 'profiles/pseries-linear.yaml')}\nmatrix: []\nexpect: { path: linear }\n`;
      writeFileSync(path, `${base}profile: ${name}\nworkload: { requests: ${requests}, depth: 4 }\n`);
      return path;
    };
    let text = '';
    const stream = (): Writable =>
      new Writable({ decodeStrings: false, write: (chunk, _, done) => ((text += String(chunk)), done()) });
    const interruption = new Interruption(300);
    const words = [
      'run',
      profile('short', 10),
      profile('endless', 1e9),
      '--set',
      `machine.use=${slowMachine(folder, { isInTest: true })}`,
    ];
    const streams = { stdout: stream(), stderr: stream(), cwd: folder };
    const done = runCommandLine([...words, '--set', 'machine.memory=64MiB'], streams, { interruption });
    await expect.poll(() => text, { timeout: 20_000 }).toMatch(/^ok .* short/m);
    await setTimeout(100);
    const start = performance.now();
    interruption.raise('SIGINT');
    await done;
    expect(performance.now() - start).toBeLessThan(10_000);
    expect(text).toMatch(/\ninterrupted by SIGINT: one run was not made\n1 of 1 runs as expected, 10 requests in /);
  });
});
