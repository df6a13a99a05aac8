import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadProfiles } from '../src/load-profile.ts';
import { ProfileError, type ProfileIssue } from '../src/source/profile-issue.ts';
import { profileText } from './support/profile-text.ts';
import { temporaryFolder } from './support/temporary-folder.ts';

/** Pieces of YAML and of profiles, so that many of the texts get past the parser. */
const PIECE = fc.oneof(
  fc.constantFrom(
    'profile',
    'platform',
    'machine',
    'device',
    'queue',
    'workload',
    'expect',
    'extends',
    'matrix',
    'queue.size',
    'use',
    'size',
    'offers',
  ),
  fc.constantFrom(
    ': ',
    '\n',
    '\n  ',
    '- ',
    '{',
    '}',
    '[',
    ']',
    ', ',
    '&a ',
    '*a',
    '!!set ',
    '? ',
    '|',
    '"',
    "'",
    '#',
    '---\n',
    '<<',
    '\t',
  ),
  fc.constantFrom(
    '0x800000000000001',
    '4KB',
    '.nan',
    '-1',
    '1e999',
    'null',
    'true',
    '__proto__',
    'constructor',
    './x.ts',
    'fs',
    '.',
  ),
  fc.string({ maxLength: 8 }),
);

const MATRIX = `matrix:
  queue.layout: [split, packed]
  device.offers: [[VERSION_1], []]
`;

/** A right profile in which some stretch is replaced. */
const DAMAGED = fc.tuple(fc.nat(), fc.nat(30), fc.array(PIECE, { maxLength: 6 })).map(([at, length, pieces]) => {
  const text = `${profileText()}${MATRIX}`;
  const start = at % text.length;
  return text.slice(0, start) + pieces.join('') + text.slice(start + length);
});

/** Issues that a profile of this content has and that name no place in it; `undefined` for a profile that loads. */
async function misplacedIssues(file: string, content: string): Promise<readonly ProfileIssue[] | undefined> {
  writeFileSync(file, content);
  try {
    await loadProfiles(file);
    return undefined;
  } catch (error) {
    if (!(error instanceof ProfileError) || error.issues.length === 0) throw error;
    const lines = content.split('\n').length;
    const ownIssues = error.issues.filter((issue) => issue.file === file);
    return ownIssues.filter(({ line, column }) => !(line >= 1 && line <= lines && column >= 1));
  }
}

describe('loadProfiles', () => {
  it('meets any text with a profile or a ProfileError that has its places', async () => {
    const file = join(temporaryFolder({}), 'profile.yaml');
    const pieces = fc.array(PIECE, { maxLength: 40 }).map((parts) => parts.join(''));
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string(), pieces, DAMAGED), async (content) => {
        expect((await misplacedIssues(file, content)) ?? []).toEqual([]);
      }),
      { numRuns: 1000 },
    );
  }, 60_000);
});
