import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { targetProfile, type ConformTarget } from '../../src/index.ts';

const BASES = [fileURLToPath(new URL('../../package.json', import.meta.url))];

/** A path as long as that of a socket may be, and longer than the name of a profile. */
const LONG = `/run/${'long/'.repeat(20)}s`;

it.each<[string, ConformTarget]>([
  ['a socket', { kind: 'socket', path: LONG }],
  ['a program', { kind: 'command', command: [LONG, '{socket}'] }],
])('takes %s whose path is longer than the name of a profile', async (_what, target) => {
  const { profile } = await targetProfile(target, { bases: BASES });
  expect(profile.name.length).toBeLessThanOrEqual(100);
  expect(LONG.endsWith(profile.name.replace('…', ''))).toBe(true);
});
