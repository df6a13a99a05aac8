import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { setTimeout } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCommandLine } from '../src/command-line.ts';
import { Interruption } from '../src/interruption.ts';

const ROOT = join(import.meta.dirname, '../../..');
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'virtio-platform-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function source(name: string): string {
  return JSON.stringify(join(ROOT, 'packages', name, 'src/index.ts'));
}

/** A machine like the embedded one, that takes half a minute to end a run that was not over. */
function slowMachine(): string {
  const path = join(folder, 'slow.mjs');
  writeFileSync(
    path,
    `import simulated, { SimulatedMachine } from ${source('machine-simulated')};
import { MACHINE, MACHINE_REQUEST } from ${source('core')};
export default {
  ...simulated,
  name: 'slow',
  register(container, options) {
    const useFactory = (bindings) => {
      const request = bindings.resolve(MACHINE_REQUEST);
      const machine = new SimulatedMachine(request, options);
      const boot = async () => {
        const booted = await machine.boot();
        const dispose = async () => {
          await booted.dispose();
          if (request.signal.aborted) await new Promise((resolve) => setTimeout(resolve, 30_000).unref());
        };
        return { ...booted, dispose };
      };
      return { name: 'slow', boot };
    };
    container.register(MACHINE, { useFactory });
  },
};
`,
  );
  return path;
}

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
    const words = ['run', profile('short', 10), profile('endless', 1e9), '--set', `machine.use=${slowMachine()}`];
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
