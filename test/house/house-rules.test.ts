import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import {
  crowdedFolders,
  longFiles,
  longLines,
  medianProblem,
  undocumentedExports,
  unfinished,
  type HouseFile,
} from './house-rules.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const SKIPPED = /^(?:node_modules|dist|coverage|\.(?!github$|changeset$).+)$/;

/** The paths of all files below a folder of the repository that end as given, without what is installed or built. */
function filesBelow(folder: string, ending: RegExp): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return SKIPPED.test(entry.name) ? [] : filesBelow(path, ending);
    return ending.test(entry.name) ? [path] : [];
  });
}

const files = filesBelow('', /\.(?:ts|md)$/).map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }));
const sources = files.filter(({ path }) => /^packages\/[^/]+\/src\/.*\.ts$/.test(path));
const code = files.filter(({ path }) => path.endsWith('.ts'));

/** A file that the rules read from memory. */
function made(text: string, path = 'packages/made/src/made.ts'): HouseFile {
  return { path, text };
}

describe('every exported name of the packages', () => {
  it('has a docstring directly above', () => {
    expect(sources.filter(({ path }) => !path.endsWith('/index.ts')).flatMap(undocumentedExports)).toEqual([]);
  });

  it.each(['const A = 1', 'function A() {}', 'class A {}', 'abstract class A {}', 'interface A {}', 'type A = 1'])(
    'is found without one: %s',
    (declaration) => {
      expect(undocumentedExports(made(`const b = 1;\nexport ${declaration}`))).toEqual([
        'packages/made/src/made.ts:2: A has no docstring',
      ]);
      expect(undocumentedExports(made(`/** Is one. */\nexport ${declaration}`))).toEqual([]);
    },
  );

  it('may have a decorator in between, and one docstring for its overloads', () => {
    expect(undocumentedExports(made('/** Is one. */\n@injectable()\nexport class A {}'))).toEqual([]);
    const overloads = '/** Is one. */\nexport function a(): void;\nexport function a(b?: number): void {}';
    expect(undocumentedExports(made(overloads))).toEqual([]);
    expect(undocumentedExports(made("export { A } from './a.ts';\nexport type { B } from './b.ts';"))).toEqual([]);
  });
});

describe('every line of code and prose', () => {
  it('has at most 120 characters', () => {
    expect(files.flatMap(longLines)).toEqual([]);
  });

  it('is found where it is longer', () => {
    const long = 'a '.repeat(61);
    expect(longLines(made(`short\n// ${long}`))).toEqual(['packages/made/src/made.ts:2: 125 characters']);
    expect(longLines(made(long, 'README.md'))).toEqual(['README.md:1: 122 characters']);
    expect(longLines(made(`\`\`\`yaml\n${long}\n\`\`\`\n`, 'README.md'))).toEqual(['README.md:2: 122 characters']);
  });

  it('may be longer in a table, in the output of a program, and as a link', () => {
    const long = 'a '.repeat(61);
    expect(longLines(made(`| ${long} |\n\`\`\`text\n${long}\n\`\`\`\nend`, 'README.md'))).toEqual([]);
    expect(longLines(made(`// https://example.org/${'a'.repeat(120)}`))).toEqual([]);
    expect(longLines(made(`\`\`\`text\nok\n\`\`\`\n${long}`, 'README.md'))).toHaveLength(1);
  });
});

describe('source files', () => {
  it('have at most 600 lines', () => {
    expect(longFiles(sources)).toEqual([]);
  });

  it('are found where they are longer', () => {
    expect(longFiles([made('a\n'.repeat(600)), made('a\n'.repeat(601), 'b.ts')])).toEqual(['b.ts:601: 601 lines']);
  });

  it('have a median of 80 to 130 lines', () => {
    expect(medianProblem(sources)).toEqual([]);
  });

  it('are found to be too small or too large in the median', () => {
    const of = (lines: number): HouseFile => made('a\n'.repeat(lines));
    expect(medianProblem([of(79), of(79), of(500)])).toEqual(['the median source file has 79 lines, not 80 to 130']);
    expect(medianProblem([of(1), of(131), of(131)])).toEqual(['the median source file has 131 lines, not 80 to 130']);
    expect(medianProblem([of(80), made('', 'packages/made/src/index.ts')])).toEqual([]);
  });

  it('are at most 20 in a folder', () => {
    expect(crowdedFolders(sources.map(({ path }) => path))).toEqual([]);
  });

  it('are found where a folder has more', () => {
    const paths = Array.from({ length: 21 }, (_, i) => `packages/made/src/${i}.ts`);
    expect(crowdedFolders(paths)).toEqual(['packages/made/src: 21 files']);
    expect(crowdedFolders(paths.slice(1))).toEqual([]);
  });
});

describe('code', () => {
  it('has no mark of work left for later', () => {
    expect(code.flatMap(unfinished)).toEqual([]);
  });

  it.each(['TO', 'FIX'])('is found with one: %s…', (half) => {
    const word = half === 'TO' ? `${half}DO` : `${half}ME`;
    expect(unfinished(made(`ok\n// ${word}: later`))).toEqual([`packages/made/src/made.ts:2: // ${word}: later`]);
  });
});
