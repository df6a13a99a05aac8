import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ROOT } from './command/command.ts';
/** All TypeScript files below a folder of the repository. */
function filesBelow(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.split(sep).includes('node_modules') && !name.startsWith('.'))
    .map((name) => join(ROOT, folder, name));
}

/** The package that a file belongs to, as a path from the root; `test` for the tests of the whole system. */
function ownerOf(file: string): string {
  const [first, second] = relative(ROOT, file).split(sep);
  return first === 'packages' ? join(first, second!) : first!;
}

describe('a relative import', () => {
  it('leads to a file of the same package: what several packages share is published by one of them', () => {
    const owners = readdirSync(join(ROOT, 'packages')).flatMap((name) => filesBelow(join('packages', name)));
    const files = [...owners, ...filesBelow('test')];
    expect(files.length).toBeGreaterThan(500);
    const strays = files.flatMap((file) =>
      [...readFileSync(file, 'utf8').matchAll(/(?:from|import\() ?'(\.[^'$]*)'/g)]
        .filter(([, path]) => ownerOf(resolve(file, '..', path!)) !== ownerOf(file))
        .map(([, path]) => `${relative(ROOT, file)} imports ${path!}`),
    );
    expect(strays).toEqual([]);
  });
});
