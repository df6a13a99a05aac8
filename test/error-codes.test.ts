import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const PACKAGES = fileURLToPath(new URL('../packages', import.meta.url));

/** Codes of Node that the source compares with. */
const OF_NODE = new Set(['ERR_UNKNOWN_FILE_EXTENSION']);

/** The codes that stand as strings in the source of any package. */
function codesInSource(): Set<string> {
  const codes = new Set<string>();
  for (const name of readdirSync(PACKAGES)) {
    const source = join(PACKAGES, name, 'src');
    for (const file of readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((path) =>
      path.endsWith('.ts'),
    )) {
      for (const [, code] of readFileSync(join(source, file), 'utf8').matchAll(/'(ERR_[A-Z_]+)'/g)) codes.add(code!);
    }
  }
  return codes;
}

describe('errors.md', () => {
  const document = readFileSync(join(PACKAGES, 'core/docs/errors.md'), 'utf8');
  const headings = Array.from(document.matchAll(/^### (ERR_[A-Z_]+)$/gm), ([, code]) => code!);

  it('has a heading for every code of the repository, and no other', () => {
    const codes = [...codesInSource()].filter((code) => !OF_NODE.has(code));
    expect(headings.toSorted()).toEqual(codes.toSorted());
  });
});
