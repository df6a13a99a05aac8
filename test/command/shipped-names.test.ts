import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { commandHere, ROOT } from './command.ts';

const here = (...words: readonly string[]): ReturnType<typeof commandHere> => commandHere(words, tmpdir());

/** The name of each profile in a folder and its folders. */
function namesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.yaml'))
    .map((file) => /^profile: (.*)$/m.exec(readFileSync(join(folder, file), 'utf8'))?.[1] ?? file);
}

describe('a shipped profile by its name', () => {
  it('is one alone', () => {
    const names = namesIn(join(ROOT, 'profiles'));
    expect(names.length).toBeGreaterThan(100);
    expect(names.filter((name, at) => names.indexOf(name) !== at)).toEqual([]);
    const schema: unknown = JSON.parse(readFileSync(join(ROOT, '.virtio-platform.schema.json'), 'utf8'));
    const { properties } = schema as { readonly properties: object };
    const folders = readdirSync(join(ROOT, 'profiles'));
    expect(Object.keys(properties)).toContain('platform');
    expect([...names, ...folders].filter((name) => Object.hasOwn(properties, name))).toEqual([]);
  });

  it.each([
    [['explain', 'vfio-pool'], /^vfio-pool/],
    [['check', 'vfio-pool'], /^ok vfio-pool/],
    [['matrix', 'pseries-linear'], /^offer +pseries-linear/],
    [['step', 'vfio-pool', '--requests', '1'], /^vfio-pool/],
  ])('is taken by %s', async (words, expected) => {
    const { status, stdout, stderr } = await here(...words);
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(expected);
  });

  it.each(['explain', 'check', 'matrix', 'step'])('is suggested by %s where it is misspelt', async (command) => {
    const { status, stderr } = await here(command, 'vfio-pol');
    expect(status).toBe(2);
    expect(stderr).toMatch(/did you mean .?vfio-pool/);
  });

  it('is no error without a next step where explain knows nothing close', async () => {
    const { status, stderr } = await here('explain', 'ERR_NOSUCH_WHATEVER_THIS_IS');
    expect(status).toBe(2);
    expect(stderr).toContain('give a profile, a code such as');
  });
});
