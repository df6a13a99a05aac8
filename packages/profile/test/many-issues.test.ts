import { describe, expect, it } from 'vitest';
import { checkProfile, loadProfiles } from '../src/load-profile.ts';
import { ProfileError } from '../src/source/profile-issue.ts';
import { caught } from './support/caught.ts';
import { profileText } from './support/profile-text.ts';
import { temporaryProfile } from './support/temporary-folder.ts';

type Pattern = (lines: number) => string;

function repeat(lines: number, text: (i: number) => string): string {
  return Array.from({ length: lines }, (_, i) => text(i)).join('');
}

const PATTERNS: readonly (readonly [string, Pattern])[] = [
  ['tags under one key', (lines) => repeat(lines, () => 'k: !x 1\n')],
  ['tags', (lines) => repeat(lines, (i) => `k${i}: !x 1\n`)],
  ['unknown keys', (lines) => `${profileText()}${repeat(lines, (i) => `k${i}: 1\n`)}`],
  ['unknown keys of a section', (lines) => profileText({ queue: `{ ${repeat(lines, (i) => `k${i}: 1, `)} }` })],
  [
    'options of a plugin',
    (lines) => profileText().replace('memory: 1MiB', `memory: 1MiB, ${repeat(lines, (i) => `o${i}: 1, `)}`),
  ],
  ['aliases without an anchor', (lines) => repeat(lines, (i) => `k${i}: *b\n`)],
  ['escapes that are none', (lines) => repeat(lines, () => 'k: "\\q"\n')],
  ['tabs', (lines) => repeat(lines, () => '\tk: 1\n')],
  ['maps after each other', (lines) => repeat(lines, () => '{a: 1}\n')],
  ['paths of a matrix', (lines) => `${profileText()}matrix:\n${repeat(lines, (i) => `  queue.k${i}: [1]\n`)}`],
  [
    'runs of a matrix',
    (lines) =>
      `${profileText()}matrix: { queue.size: [${repeat(200, (i) => `${2 + i}, `)}] }\n${repeat(lines / 8, (i) => `k${i}: 1\n`)}`,
  ],
  [
    'wrong values',
    (lines) =>
      profileText({
        workload: `{ kind: write-read-verify, requests: 20, depth: 4, blockSize: 4KiB, disruptions: [${repeat(lines, () => '{ after: x, do: y }, ')}] }`,
      }),
  ],
];

/** Milliseconds of processor time. */
async function timeOf(pattern: Pattern, lines: number): Promise<number> {
  const path = temporaryProfile(pattern(lines));
  const before = process.cpuUsage();
  const { issues } = await checkProfile(path);
  const { user, system } = process.cpuUsage(before);
  expect(issues.length).toBeGreaterThan(0);
  expect(issues.length).toBeLessThanOrEqual(100);
  return (user + system) / 1000;
}

describe('a profile with thousands of mistakes', () => {
  it.each(PATTERNS)('C9 is checked in linear time: %s', async (_, pattern) => {
    await timeOf(pattern, 500);
    const short = await timeOf(pattern, 2000);
    const long = await timeOf(pattern, 8000);
    // Four times as much would take sixteen times as long in quadratic time.
    expect(long).toBeLessThan(Math.max(8 * short, 1500));
  });

  it('C9 stops after a hundred, and says so', async () => {
    const path = temporaryProfile(repeat(8000, () => 'k: !x 1\n'));
    const error = await caught(loadProfiles(path), ProfileError);
    expect(error.issues).toHaveLength(100);
    const lines = error.message.split('\n');
    expect(lines).toHaveLength(101);
    expect(lines.at(-1)).toBe('checking stopped after 100 mistakes');
    expect(error.location).toMatchObject({ line: 1 });
  });

  it('C9 lists all of fewer', async () => {
    const path = temporaryProfile(`${profileText()}${repeat(99, (i) => `k${i}: 1\n`)}`);
    const error = await caught(loadProfiles(path), ProfileError);
    expect(error.issues).toHaveLength(99);
    expect(error.message).not.toContain('stopped');
  });

  it('C9 does not run out of stack for the mistakes of one value', async () => {
    const offers = `{ type: block, offers: [${repeat(150_000, () => '1, ')}] }`;
    const { issues } = await checkProfile(temporaryProfile(profileText({ device: offers })));
    expect(issues.length).toBeGreaterThan(0);
  });
});
