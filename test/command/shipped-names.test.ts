import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import { commandHere } from './command.ts';

const here = (...words: readonly string[]): ReturnType<typeof commandHere> => commandHere(words, tmpdir());

describe('a shipped profile by its name', () => {
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
