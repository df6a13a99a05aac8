import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const PACKAGES = fileURLToPath(new URL('../../', import.meta.url));

/** Matches names in which one of these case numbers is. */
export function naming(cases: readonly string[]): RegExp {
  return new RegExp(`\\b(${cases.join('|')})\\b`);
}

/** The test files with one of these cases in a name, or all where there are none, relative to the repository. */
export function filesNaming(cases: readonly string[]): string[] {
  const named = cases.length === 0 ? /^/ : naming(cases);
  return testFiles()
    .filter((file) => named.test(codeOf(file)))
    .map((file) => `packages/${file}`);
}

/** Which of these cases no test is named by. */
export function casesWithoutTest(cases: readonly string[]): string[] {
  const code = testFiles().map(codeOf);
  return cases.filter((number) => !code.some((text) => naming([number]).test(text)));
}

function testFiles(): string[] {
  return readdirSync(PACKAGES)
    .flatMap((name) => filesBelow(`${name}/test`))
    .filter((file) => file.endsWith('.test.ts'))
    .toSorted();
}

function filesBelow(folder: string): string[] {
  if (!existsSync(PACKAGES + folder)) return [];
  return readdirSync(PACKAGES + folder, { recursive: true, encoding: 'utf8' }).map((file) => `${folder}/${file}`);
}

/** Without comments: a case is tested where a test is named by it. */
function codeOf(file: string): string {
  return readFileSync(PACKAGES + file, 'utf8').replaceAll(/^\s*(\/\/|\*|\/\*\*).*$/gm, '');
}
