import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const PACKAGES = fileURLToPath(new URL('../../packages/', import.meta.url));
const TYPES = readdirSync(PACKAGES).flatMap((name) => /^device-(?!kit$)(.+)$/.exec(name)?.slice(1) ?? []);
const HOUSE = ['profile', 'runner', 'cli', 'pci', 'dma-sanitizer'];

/** The sources of the packages that have to work with any device type. */
const sources = readdirSync(PACKAGES)
  .filter((name) => HOUSE.includes(name) || name.startsWith('machine-'))
  .flatMap((name) => sourcesIn(join(PACKAGES, name, 'src')));

function sourcesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name));
}

/** The code of a source without its comments: examples in docstrings may name a type. */
function codeOf(file: string): string {
  return readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '');
}

describe('sources outside of the device types', () => {
  it('finds the shipped types', () => {
    expect(TYPES).toEqual(expect.arrayContaining(['block', 'console', 'entropy', 'net']));
  });

  it.each(TYPES)('have no %s in them', (type) => {
    const name = new RegExp(`['"\`]${type}['"\`]|device-${type}|VIRTIO_(${type}|BLK)_F_`, 'i');
    expect(sources.filter((file) => name.test(codeOf(file))).map((file) => relative(PACKAGES, file))).toEqual([]);
  });
});

describe('the driver half of each shipped type', () => {
  // The contract suite of each type checks what it says.
  it.each(TYPES)('says what its buffers are for: %s', (type) => {
    const code = sourcesIn(join(PACKAGES, `device-${type}`, 'src')).map(codeOf);
    expect(code.some((text) => /\bdescribeBuffer\(.*\{$/m.test(text))).toBe(true);
  });
});
