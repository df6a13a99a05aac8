import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ROOT } from '../command/command.ts';
import { QEMU_TESTS } from '../machines/qemu-installed.ts';

const PAGE = readFileSync(join(ROOT, 'packages/core/docs/from-node.md'), 'utf8');
const blocks = [...PAGE.matchAll(/^```(\S+) (file|output)=(\S+)\n([\s\S]*?)^```$/gm)].map(([, , kind, name, text]) => ({
  kind: kind!,
  name: name!,
  text: text!,
}));
const files = blocks.filter(({ kind }) => kind === 'file');
const outputs = blocks.filter(({ kind }) => kind === 'output');

function linesOf(name: string): number {
  const { text } = files.find((file) => file.name === name)!;
  return text.trimEnd().split('\n').length;
}

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(ROOT, 'test', '.outside-'));
  for (const { name, text } of files) writeFileSync(join(folder, name), text);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe('the page about Node', () => {
  it('says of each block of TypeScript which file it is, and of each program what it prints', () => {
    expect(PAGE.match(/^```ts/gm)).toHaveLength(files.length);
    const programs = files.filter(({ text }) => text.includes('console.log'));
    expect(outputs.map(({ name }) => name)).toEqual(programs.map(({ name }) => name));
    expect(outputs.length).toBeGreaterThanOrEqual(5);
  });

  it('C1 writes and reads a sector in at most ten lines, and has a device half in 40', () => {
    expect(linesOf('sector.ts')).toBeLessThanOrEqual(10);
    expect(linesOf('switch-port.ts')).toBeLessThanOrEqual(40);
  });

  it.for(outputs)('has a program $name that prints what it says', ({ name, text }, { skip }) => {
    const isQemu = files.find((file) => file.name === name)!.text.includes('qemu');
    skip(isQemu && !QEMU_TESTS.mayRun, QEMU_TESTS.needs);
    const words = ['--import', 'tsx', name];
    const { status, stdout, stderr } = spawnSync(process.execPath, words, { cwd: folder, encoding: 'utf8' });
    expect([stderr, stdout, status]).toEqual(['', text, 0]);
  });
});
