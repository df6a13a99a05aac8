import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { ERROR_CODES } from '@virtio-platform/core';
import { describe, expect, it } from 'vitest';

const PACKAGES = fileURLToPath(new URL('../packages', import.meta.url));
const TABLE = join('core', 'src', 'errors', 'error-code.ts');

/** Codes of Node.js that the source compares with. */
const NODE_CODES = new Set(['ERR_UNKNOWN_FILE_EXTENSION']);

/** The codes that stand as strings in the source of any package, outside of the table. */
function codesInSource(): Set<string> {
  const codes = new Set<string>();
  for (const name of readdirSync(PACKAGES)) {
    const source = join(PACKAGES, name, 'src');
    for (const path of readdirSync(source, { recursive: true, encoding: 'utf8' })) {
      if (!path.endsWith('.ts') || join(source, path).endsWith(TABLE)) continue;
      for (const [, code] of readFileSync(join(source, path), 'utf8').matchAll(/'(ERR_[A-Z_]+)'/g)) codes.add(code!);
    }
  }
  return codes;
}

describe('the table of error codes', () => {
  it('has every code that a package uses, and no other', () => {
    const codes = [...codesInSource()].filter((code) => !NODE_CODES.has(code));
    expect(ERROR_CODES.toSorted()).toEqual(codes.toSorted());
  });

  it('has a heading in errors.md for each code, in its order', () => {
    const document = readFileSync(join(PACKAGES, 'core/docs/errors.md'), 'utf8');
    expect(Array.from(document.matchAll(/^### (ERR_[A-Z_]+)$/gm), ([, code]) => code!)).toEqual([...ERROR_CODES]);
  });

  it('leaves codes that start with ERR_X_ to the plugins of others', () => {
    expect(ERROR_CODES.filter((code) => code.startsWith('ERR_X_'))).toEqual([]);
  });
});
